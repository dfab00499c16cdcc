import { Fragment } from "react";
import { Link } from "react-router";
import type { Ref } from "../api/types";

const coloursKey = "tidegate.service-colours";
const slots = 24; // twelve hues in two lightnesses
const taken = new Map<string, number>(remembered());

function remembered(): [string, number][] {
  try {
    return Object.entries(JSON.parse(localStorage.getItem(coloursKey) ?? "{}") as Record<string, number>);
  } catch {
    return [];
  }
}

/**
 * A colour for a service, the same on every screen. The name decides it, and
 * a name whose colour another service has already takes the next free one;
 * the browser remembers who has which.
 */
export function serviceColor(name: string): string {
  let slot = taken.get(name);
  if (slot === undefined) {
    let h = 2166136261;
    for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619);
    slot = (h >>> 0) % slots;
    const used = new Set(taken.values());
    // Seven is coprime to the number of slots: every slot is tried once.
    for (let n = 0; n < slots && used.has(slot); n++) slot = (slot + 7) % slots;
    taken.set(name, slot);
    try {
      if (taken.size <= 500) localStorage.setItem(coloursKey, JSON.stringify(Object.fromEntries(taken)));
    } catch {
      // not remembered: chosen again next time
    }
  }
  return `oklch(calc(var(--service-l) + ${slot < 12 ? "0.03" : "-0.12"}) 0.125 ${(slot % 12) * 30 + (slot < 12 ? 0 : 15)})`;
}

export function ServiceDot({ name }: { name: string }) {
  return <span className="service-dot" style={{ background: serviceColor(name) }} aria-hidden />;
}

export function serviceHref(r: Ref): string {
  const q = r.environment ? `?environment=${encodeURIComponent(r.environment)}` : "";
  return `/services/${encodeURIComponent(r.service ?? "")}${q}`;
}

/** A service by name, with its colour, leading to its page. */
export function ServiceLink({ of, plain }: { of: Ref; plain?: boolean }) {
  if (!of.service) return <span className="dim">every service</span>;
  return (
    <Link className="service-link" to={serviceHref(of)}>
      <ServiceDot name={of.service} />
      <span>{of.service}</span>
      {!plain && of.version && <span className="dim">@{of.version}</span>}
      {!plain && of.environment && <span className="dim">{of.environment}</span>}
    </Link>
  );
}

/** A long operation name that may break after its dots and slashes. */
export function Operation({ name }: { name: string }) {
  return (
    <>
      {name.split(/(?<=[./])/).map((part, i) => (
        <Fragment key={i}>
          {i > 0 && <wbr />}
          {part}
        </Fragment>
      ))}
    </>
  );
}
