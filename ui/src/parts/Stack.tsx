import type { Exception, Frame } from "../api/types";

/** An exception in monospace; frames of the application itself are marked. */
export function Stack({ exception, frames }: { exception: Exception; frames?: Frame[] | null }) {
  return (
    <div className="stack" tabIndex={0} role="region" aria-label="Stack trace">
      <div className="stack-title">
        <strong>{exception.type || "Error"}</strong>{exception.message && <>: {exception.message}</>}
      </div>
      {frames?.length ? (
        <ol>
          {frames.map((f, i) => (
            <li key={i} data-inapp={f.inApp || undefined}>
              <span className="stack-fn">{f.function}</span>
              {f.file && <span className="stack-file">{f.file}{f.line ? `:${f.line}` : ""}</span>}
              {f.inApp && <span className="tag">in app</span>}
            </li>
          ))}
        </ol>
      ) : (
        exception.stacktrace && <pre>{exception.stacktrace}</pre>
      )}
    </div>
  );
}
