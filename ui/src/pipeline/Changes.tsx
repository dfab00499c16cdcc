import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Release } from "../api/types";
import { useReleases } from "../api/queries";

/** What differs from the release before. */
export function Changes({ r }: { r: Release }) {
  const d = r.changes;
  const before = useReleases(d ? r.pipeline : null, { limit: 1, before: (d?.release ?? 0) + 1 }).data?.releases?.[0];
  if (!d) return <p className="dim">There is no release before it to compare with.</p>;
  const f = d.files;
  return (
    <>
      <p>
        <code className="from-to">{d.from} → {d.to}</code> since {before?.number === d.release ? <Link to={`/releases/${before.id}`}>release #{d.release}</Link> : `release #${d.release}`}
        {d.toCommit && <> · commit <code>{d.fromCommit?.slice(0, 10) || "–"} → {d.toCommit.slice(0, 10)}</code></>}
      </p>
      {d.definition && <p className="note">! The definition of the pipeline changed as well.</p>}
      {f && f.addedCount + f.changedCount + f.removedCount === 0 && <p className="dim">Its files are the same.</p>}
      <Names title={d.commits?.length === 1 ? "commit" : "commits"} n={d.commits?.length ?? 0} names={d.commits} mark="•" />
      {f && <Names title={`${f.addedCount === 1 ? "file" : "files"} added`} n={f.addedCount} names={f.added} mark="+" />}
      {f && <Names title={`${f.changedCount === 1 ? "file" : "files"} changed`} n={f.changedCount} names={f.changed} mark="~" />}
      {f && <Names title={`${f.removedCount === 1 ? "file" : "files"} removed`} n={f.removedCount} names={f.removed} mark="−" />}
    </>
  );
}

function Names({ title, n, names, mark }: { title: string; n: number; names?: string[] | null; mark: string }): ReactNode {
  if (!n) return null;
  return (
    <details open={n <= 12}>
      <summary>{n} {title}</summary>
      <ul className="diff-names mono">
        {(names ?? []).map((name) => <li key={name}><span aria-hidden>{mark}</span> {name}</li>)}
        {n > (names?.length ?? 0) && <li className="dim">and {n - (names?.length ?? 0)} more</li>}
      </ul>
    </details>
  );
}
