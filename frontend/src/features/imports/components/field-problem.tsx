/** What the server says of a field, below it; holds no room while it fits. */

export function FieldProblem({ text }: { readonly text: string }) {
  return text === "" ? null : (
    <p role="alert" className="mt-1 text-xs text-fault">
      {text}
    </p>
  );
}
