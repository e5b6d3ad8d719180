import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["dist/", "build/", ".tools/", "src/gen/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    // Enums of protobuf are open: a newer server sends numbers that they do not name.
    rules: { "@typescript-eslint/no-unsafe-enum-assignment": "off" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
  },
);
