/** Writes a report as a line of JSON; a bigint as the integer it is, which JSON, unlike JavaScript, has room for. */
export function jsonLine(report: object): string {
  const marked = JSON.stringify(report, (_, value: unknown) =>
    typeof value === "bigint" ? `${MARK}${String(value)}` : value,
  );
  return `${marked.replace(new RegExp(`"${MARK}(-?\\d+)"`, "g"), "$1")}\n`;
}

const MARK = "bigint:";
