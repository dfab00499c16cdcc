import { Link } from "react-router";
import type { Ref } from "../api/types";

/** A hue for a service, the same on every screen. */
export function serviceHue(name: string): number {
  let h = 2166136261;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619);
  return ((h >>> 0) % 24) * 15;
}

export const serviceColor = (name: string) => `oklch(var(--service-l) 0.12 ${serviceHue(name)})`;

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
