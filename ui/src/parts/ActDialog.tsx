import { Button, Modal, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { queryClient } from "../api/queries";

const whoKey = "tidegate.who";
function rememberedWho(): string {
  try {
    return localStorage.getItem(whoKey) ?? "";
  } catch {
    return "";
  }
}

export interface Act {
  title: string;
  /** What exactly will happen, in the order it will. */
  effects: ReactNode[];
  /** The button, naming the thing. */
  confirm: string;
  dangerous?: boolean;
  /** Must be typed before the button works. */
  typed?: string;
  needsReason?: boolean;
  /** The server does not record who: it is not asked for. */
  anonymous?: boolean;
  run: (who: string, reason: string) => Promise<unknown>;
}

/** Asks who and why, shows what will be done, and does it. */
export function ActDialog({ act, onClose }: { act: Act | null; onClose: () => void }) {
  return (
    <Modal opened={act !== null} onClose={onClose} title={act?.title} lockScroll={false} centered transitionProps={{ duration: 0 }} closeButtonProps={{ "aria-label": "Close" }}>
      {act && <Form act={act} onClose={onClose} />}
    </Modal>
  );
}

function Form({ act, onClose }: { act: Act; onClose: () => void }) {
  const [who, setWho] = useState(rememberedWho);
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const run = useMutation({
    mutationFn: () => act.run(who.trim(), reason.trim()),
    onSuccess: () => {
      try {
        localStorage.setItem(whoKey, who.trim());
      } catch {
        // not remembered, nothing lost
      }
      void queryClient.invalidateQueries();
      onClose();
    },
  });
  const needsReason = !act.anonymous && (act.needsReason ?? true);
  const ready = (act.anonymous || who.trim() !== "") && (!needsReason || reason.trim() !== "") && (!act.typed || typed === act.typed);
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        if (ready && !run.isPending) run.mutate();
      }}
    >
      <Stack gap="sm">
        <div className="effects">
          <strong>What will happen</strong>
          <ol>
            {act.effects.map((e, i) => (
              <li key={i}>{e}</li>
            ))}
          </ol>
        </div>
        {!act.anonymous && <TextInput label="Who" name="who" placeholder="your name" value={who} onChange={(e) => setWho(e.currentTarget.value)} required data-autofocus={who === "" || undefined} maxLength={200} />}
        {needsReason && (
          <Textarea label="Reason" name="reason" placeholder="why now" value={reason} onChange={(e) => setReason(e.currentTarget.value)} required autosize minRows={2} data-autofocus={who !== "" || undefined} maxLength={1000} />
        )}
        {act.typed && <TextInput label={`Type ${act.typed} to confirm`} name="confirm" value={typed} onChange={(e) => setTyped(e.currentTarget.value)} autoComplete="off" />}
        {run.isError && (
          <p className="failure-inline" role="alert">
            {run.error instanceof ApiError ? run.error.detail || run.error.title : run.error.message}
          </p>
        )}
        <div className="dialog-buttons">
          <Button variant="default" onClick={onClose} type="button">
            Cancel
          </Button>
          <Button type="submit" color={act.dangerous ? "red" : undefined} disabled={!ready} loading={run.isPending}>
            {act.confirm}
          </Button>
        </div>
      </Stack>
    </form>
  );
}
