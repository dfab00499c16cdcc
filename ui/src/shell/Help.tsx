import { Modal } from "@mantine/core";
import { places } from "./places";

const general: [string[], string][] = [
  [["/"], "Search"],
  [["?"], "This help"],
  [["j", "k"], "Next and previous in a list; then ↑ ↓ too"],
  [["↑", "↓"], "Move in lists, heatmaps and waterfalls"],
  [["←", "→"], "Move in a heatmap; fold and unfold in a waterfall"],
  [["Enter"], "Open what is selected"],
  [["Esc"], "Close"],
];

export function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Keyboard" lockScroll={false} centered transitionProps={{ duration: 0 }}>
      <dl className="keys">
        {general.map(([keys, what]) => (
          <div key={what}>
            <dt>{keys.map((k) => <kbd key={k}>{k}</kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
        {places.map((p) => (
          <div key={p.to}>
            <dt>
              <kbd>g</kbd>
              <kbd>{p.key}</kbd>
            </dt>
            <dd>{p.label}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
