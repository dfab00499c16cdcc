import { post, seg } from "../api/client";
import type { ChangeEvent } from "../api/types";
import type { Act } from "./ActDialog";

/** Takes a change back the way whoever made it said. */
export function undoAct(e: ChangeEvent): Act {
  const u = e.undo!;
  const effect =
    u.kind === "flag" ? (
      <>
        Flag <code>{u.flagKey}</code>{u.flagSet && <> of set <code>{u.flagSet}</code></>} goes back to <code>{u.variant}</code>, at once, for everybody.
      </>
    ) : u.kind === "rollout" ? (
      <>All traffic goes back to the version before, at once.</>
    ) : u.kind === "rollback" ? (
      <>The version before is deployed again.</>
    ) : (
      <>
        A POST goes to <code>{u.url}</code>.
      </>
    );
  return {
    title: `Undo: ${e.title}`,
    effects: [effect, "It is recorded as an undo of this change, on the timeline and in the audit."],
    confirm: u.kind === "flag" ? `Set ${u.flagKey} to ${u.variant}` : `Undo ${e.title}`,
    dangerous: true,
    run: (who, reason) => post(`/v1/events/${seg(e.id)}/undo`, { who, reason }),
  };
}
