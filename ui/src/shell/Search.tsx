import { Modal } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { useFlags, useGuardians, useLoadTests, usePipelines, useServices, useWorkflows } from "../api/queries";
import { places } from "./places";

interface Hit {
  kind: string;
  label: string;
  to: string;
}

/** Finds screens and named things; a trace id goes straight to its trace. */
export function Search({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} withCloseButton={false} lockScroll={false} yOffset="12vh" padding={0} transitionProps={{ duration: 0 }} aria-label="Search">
      {opened && <Box onClose={onClose} />}
    </Modal>
  );
}

function Box({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const navigate = useNavigate();
  const hits = useHits(text);
  useEffect(() => setAt(0), [text]);
  const open = (h: Hit | undefined) => {
    if (!h) return;
    onClose();
    void navigate(h.to);
  };
  return (
    <div className="search">
      <input
        className="search-input"
        data-autofocus
        aria-label="Search services, guardians, flags, tests, pipelines, workflows, trace ids"
        placeholder="Service, guardian, flag, trace id …"
        value={text}
        role="combobox"
        aria-expanded
        aria-controls="search-hits"
        aria-activedescendant={hits[at] ? `hit-${at}` : undefined}
        onChange={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown") setAt(Math.min(at + 1, hits.length - 1));
          else if (e.key === "ArrowUp") setAt(Math.max(at - 1, 0));
          else if (e.key === "Enter") open(hits[at]);
          else return;
          e.preventDefault();
        }}
      />
      <ul className="search-hits" id="search-hits" role="listbox" aria-label="Results">
        {hits.map((h, i) => (
          <li key={h.to + h.kind} id={`hit-${i}`} role="option" aria-selected={i === at} onMouseMove={() => setAt(i)} onClick={() => open(h)}>
            <span>{h.label}</span>
            <span className="dim">{h.kind}</span>
          </li>
        ))}
        {hits.length === 0 && <li className="dim">Nothing is called that.</li>}
      </ul>
    </div>
  );
}

function useHits(text: string): Hit[] {
  const services = useServices().data?.services;
  const guardians = useGuardians().data?.guardians;
  const flags = useFlags().data?.flags;
  const tests = useLoadTests().data?.tests;
  const pipelines = usePipelines().data?.pipelines;
  const workflows = useWorkflows().data?.workflows;
  return useMemo(() => {
    const q = text.trim().toLowerCase();
    if (/^[0-9a-f]{16,32}$/.test(q)) return [{ kind: "trace", label: q, to: `/traces/${q}` }];
    const all: Hit[] = [
      ...places.map((p) => ({ kind: "screen", label: p.label, to: p.to })),
      ...(services ?? []).map((s) => ({ kind: "service", label: s.service, to: `/services/${encodeURIComponent(s.service)}` })),
      ...(guardians ?? []).map((g) => ({ kind: "guardian", label: g.guardian.name, to: `/guardians/${encodeURIComponent(g.guardian.name)}` })),
      ...(flags ?? []).map((f) => ({ kind: "flag", label: f.key, to: `/flags?key=${encodeURIComponent(f.key)}&set=${encodeURIComponent(f.set)}` })),
      ...(tests ?? []).map((t) => ({ kind: "load test", label: t.test.name, to: `/loadtests?test=${encodeURIComponent(t.test.name)}` })),
      ...(pipelines ?? []).map((p) => ({ kind: "pipeline", label: p.pipeline.name, to: `/pipelines/${encodeURIComponent(p.pipeline.name)}` })),
      ...(workflows ?? []).map((w) => ({ kind: "workflow", label: w.workflow.name, to: `/workflows?workflow=${encodeURIComponent(w.workflow.name)}` })),
    ];
    return all
      .filter((h) => h.label.toLowerCase().includes(q) || h.kind.includes(q))
      .sort((a, b) => Number(b.label.toLowerCase().startsWith(q)) - Number(a.label.toLowerCase().startsWith(q)))
      .slice(0, 12);
  }, [text, services, guardians, flags, tests, pipelines, workflows]);
}
