/**
 * Lint rules: TypeScript with type information, hooks, the arrows between folders, kebab-case file names.
 *
 * Arrows: app -> features -> (components, hooks) -> lib -> protocol. Features never import each other; a route in
 * app/routes puts them side by side. Imports across folders go by "@/", so that these patterns see all of them.
 */
import { readdirSync } from "node:fs";
import { basename } from "node:path";

import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const features = readdirSync(new URL("./src/features", import.meta.url));

const kebabCase = {
  meta: { type: "problem", messages: { name: "File names are kebab-case: {{name}}" }, schema: [] },
  create: (context) => ({
    Program(node) {
      const name = basename(context.filename);
      if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)+$/.test(name)) context.report({ node, messageId: "name", data: { name } });
    },
  }),
};

/** In `files`, imports from these folders of src/ are refused. */
function zone(files, folders, reason) {
  const group = folders.flatMap((folder) => [`@/${folder}`, `@/${folder}/**`]);
  return {
    files,
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: [{ group, message: reason }, { group: ["./*", "../*"], message: "Import by '@/'." }] },
      ],
    },
  };
}

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "src/protocol/generated.ts"] },
  {
    files: ["src/**/*.{ts,tsx}", "vite.config.ts"],
    extends: [tseslint.configs.strictTypeChecked, reactHooks.configs.flat["recommended-latest"]],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { local: { rules: { "kebab-case": kebabCase } } },
    rules: {
      "local/kebab-case": "error",
      "no-console": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  zone(["src/protocol/**", "src/lib/**"], ["app", "features", "components", "hooks"], "lib knows nothing above it."),
  zone(["src/hooks/**"], ["app", "features", "components"], "hooks know only lib."),
  zone(["src/components/**"], ["app", "features"], "Components know no feature."),
  ...features.map((feature) =>
    zone(
      [`src/features/${feature}/**`],
      ["app", ...features.filter((other) => other !== feature).map((other) => `features/${other}`)],
      "A feature imports neither the app nor another feature.",
    ),
  ),
  { files: ["scripts/**/*.mjs", "dev/**/*.mjs", "*.js"], rules: { "no-undef": "off" } },
);
