import { Button, Skeleton } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { useEffect, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { Copy } from "./Copy";

/** A screen: its title (also the browser's), what stands beside it, its content. */
export function Page({ title, lead, aside, children }: { title: string; lead?: ReactNode; aside?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Tidegate`;
  }, [title]);
  return (
    <main className="page" id="main" tabIndex={-1}>
      <header className="page-head">
        <div className="page-title">
          <h1>{title}</h1>
          {lead && <div className="lead">{lead}</div>}
        </div>
        {aside && <div className="page-aside">{aside}</div>}
      </header>
      {children}
    </main>
  );
}

export function Section({ title, aside, children, id }: { title: ReactNode; aside?: ReactNode; children: ReactNode; id?: string }) {
  return (
    <section className="section" id={id}>
      <div className="section-head">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** Nothing there yet: what would be, and the command that puts it there. */
export function Empty({ title, children, command }: { title: string; children?: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
      {command && <Copy text={command} />}
    </div>
  );
}

/** What went wrong and what to do about it. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const e = error instanceof ApiError ? error : undefined;
  const advice =
    e?.status === 0
      ? "Is the server running? Start it, this page goes on by itself."
      : e?.status === 404
        ? "It may have been deleted, or be older than the retention."
        : e && e.status >= 500
          ? "The server's log says more. Trying again is safe."
          : undefined;
  return (
    <div className="failure" role="alert">
      <div className="failure-text">
        <strong>{e ? e.title : "This view broke"}</strong>
        <p>{e ? e.detail : String((error as Error)?.message ?? error)}</p>
        {e?.fields.map((f, i) => (
          <p key={i}>
            {f.location && <code>{f.location}</code>} {f.message}
          </p>
        ))}
        {advice && <p className="dim">{advice}</p>}
        {e?.status === 0 && <Copy text="tidegate serve" />}
      </div>
      {retry && (
        <Button variant="default" size="xs" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** Shows the skeleton, the failure or the answer of a query. */
export function Answer<A>({ q, height = 240, skeleton, children }: { q: UseQueryResult<A>; height?: number; skeleton?: ReactNode; children: (a: A) => ReactNode }) {
  if (q.data !== undefined && !(q.isError && q.isPlaceholderData)) {
    return (
      <>
        {q.isError && <p className="stale" role="status">Not up to date: {q.error.message}</p>}
        {children(q.data)}
      </>
    );
  }
  if (q.isError) return <Failure error={q.error} retry={() => void q.refetch()} />;
  return <div aria-busy="true">{skeleton ?? <Skeleton height={height} radius="md" />}</div>;
}

export function Rows({ n = 6, height = 44 }: { n?: number; height?: number }) {
  return (
    <div className="skeleton-rows">
      {Array.from({ length: n }, (_, i) => (
        <Skeleton key={i} height={height} radius="sm" />
      ))}
    </div>
  );
}
