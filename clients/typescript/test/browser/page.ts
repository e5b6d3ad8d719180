/** A page that generates one picture, shows its previews, and can cancel. */
import { connect, type Event } from "@kandinsky-grpc/client/web";

const form = element("form", HTMLFormElement);
const picture = element("img", HTMLImageElement);
const status = element("[role=status]", HTMLElement);
let controller = new AbortController();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  controller = new AbortController();
  generate(new FormData(form), controller.signal).catch((error: unknown) => {
    status.textContent = controller.signal.aborted ? "cancelled" : String(error);
  });
});
element("button[type=button]", HTMLButtonElement).addEventListener("click", () => {
  controller.abort();
});

async function generate(form: FormData, signal: AbortSignal): Promise<void> {
  const client = connect(text(form, "proxy"));
  const request = {
    prompts: [text(form, "prompt")],
    sampling: { stepCount: Number(text(form, "steps")), widthPx: 64, heightPx: 64 },
    options: { previewIntervalSteps: 3 },
  };
  for await (const event of client.stream.generate(request, { signal })) show(event);
}

function show({ kind, value }: Event): void {
  status.textContent = kind === "progress" ? `${value.stage}: step ${String(value.step)}` : kind;
  if (kind === "preview" || kind === "image") {
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(new Blob([Uint8Array.from(value.data)]));
  }
}

function text(form: FormData, name: string): string {
  const value = form.get(name);
  if (typeof value !== "string") throw new Error(`the form has no ${name}`);
  return value;
}

function element<T extends Element>(selector: string, kind: new () => T): T {
  const found = document.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${selector}`);
  return found;
}
