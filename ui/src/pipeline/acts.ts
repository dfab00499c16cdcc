import { post, seg } from "../api/client";
import type { Release, ReleaseAction, StageRun } from "../api/types";
import type { Act } from "../parts/ActDialog";

const stagePath = (r: Release, s: StageRun) => `/v1/releases/${seg(r.id)}/stages/${seg(s.name)}`;
const named = (r: Release) => `release ${r.number} of ${r.pipeline}`;

/** What a person decides on an approval that waits. */
export function decideAct(r: Release, s: StageRun, a: ReleaseAction, approve: boolean): Act {
  const next = following(r, s, a);
  const back = r.definition.stages?.find((d) => d.name === s.name)?.onFail === "rollback";
  const allowed = r.definition.stages?.find((d) => d.name === s.name)?.actions?.find((d) => d.name === a.name)?.approve?.by ?? [];
  return {
    title: `${approve ? "Approve" : "Reject"} ${r.revision.version} in ${s.name}`,
    effects: [
      approve ? `${named(r)} goes on: ${next}.` : `${named(r)} ends in ${s.name} as rejected.`,
      ...(!approve && back ? [`What ${s.name} deployed is taken back: the version before runs again.`] : []),
      `May be decided by ${allowed.join(", ")}; whoever comes first decides.`,
    ],
    confirm: `${approve ? "Approve" : "Reject"} ${r.revision.version}`,
    dangerous: !approve,
    run: (who, reason) => post(`${stagePath(r, s)}/${approve ? "approve" : "reject"}`, { who, reason, action: a.name }),
  };
}

/** What comes after an action, in words. */
function following(r: Release, s: StageRun, a: ReleaseAction): string {
  const actions = s.actions ?? [];
  const next = actions[actions.findIndex((x) => x.name === a.name) + 1];
  if (next) return `next is ${next.name} in ${s.name}`;
  const stages = r.stages ?? [];
  const stage = stages[stages.findIndex((x) => x.name === s.name) + 1];
  return stage ? `next is stage ${stage.name}` : "it was the last action";
}

export function retryAct(r: Release, s: StageRun): Act {
  return {
    title: `Retry ${s.name}`,
    effects: [
      `Stage ${s.name} of ${named(r)} begins again, as attempt ${s.attempt + 1}, with ${r.revision.version}.`,
      `All its actions are done again: ${(s.actions ?? []).map((a) => a.name).join(", ")}.`,
      "The server refuses when a newer release has been in this stage since.",
    ],
    confirm: `Retry ${s.name}`,
    run: (who, reason) => post(`${stagePath(r, s)}/retry`, { who, reason }),
  };
}

export function rerunAct(r: Release): Act {
  return {
    title: `Release ${r.revision.version} again`,
    effects: [
      `A new release of ${r.pipeline} takes ${r.revision.version} through every stage, by the definition in force now.`,
      "Older releases that wait for the same stage may be overtaken by it.",
    ],
    confirm: `Release ${r.revision.version} again`,
    run: (who, reason) => post(`/v1/releases/${seg(r.id)}/rerun`, { who, reason }),
  };
}
