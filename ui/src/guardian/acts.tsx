import { post, seg } from "../api/client";
import type { Guardian, Training, Validation } from "../api/types";
import type { Act } from "../parts/ActDialog";

export function trainingAct(v: Validation, decision: Training): Act {
  const effect = {
    accepted: `Later runs of ${v.guardian} learn from validation #${v.number}, whatever its verdict was.`,
    rejected: `Validation #${v.number} no longer counts when ${v.guardian} learns what is normal. Its verdict stays.`,
    auto: `Validation #${v.number} is learned from when it passed, as by default.`,
  }[decision];
  const verb = { accepted: "Accept", rejected: "Reject", auto: "Reset" }[decision];
  return {
    title: `${verb} #${v.number} for training`,
    effects: [effect, "It is written to the audit and the timeline."],
    confirm: `${verb} #${v.number}`,
    run: (who, reason) => post(`/v1/validations/${seg(v.id)}/training`, { decision, who, reason }),
  };
}

export function pinAct(v: Validation): Act {
  const pinned = !v.pinned;
  return {
    title: pinned ? `Pin #${v.number} as reference` : `Unpin #${v.number}`,
    effects: [
      pinned
        ? `Adaptive objectives of ${v.guardian} are held against validation #${v.number} instead of the whole history.`
        : `Adaptive objectives of ${v.guardian} learn from the accepted history again.`,
    ],
    confirm: pinned ? `Pin #${v.number}` : `Unpin #${v.number}`,
    run: (who, reason) => post(`/v1/validations/${seg(v.id)}/pin`, { pinned, who, reason }),
  };
}

export function validateAct(g: Guardian, last: string): Act {
  return {
    title: `Validate ${g.name}`,
    effects: [`The last ${last} of ${g.target.service ?? "its target"} is held against ${g.objectives?.length ?? 0} objectives.`, "The verdict is kept, and workflows may react to it."],
    confirm: `Validate ${g.name} now`,
    needsReason: false,
    run: (who) => post(`/v1/guardians/${seg(g.name)}/validations`, { last, who }),
  };
}
