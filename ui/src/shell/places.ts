/** The screens in the order of the navigation, with the letter after `g`. */
export const places = [
  { to: "/", label: "Now", key: "n", icon: "M4 12h4l2-6 4 12 2-6h4" },
  { to: "/problems", label: "Problems", key: "p", icon: "M12 4l9 16H3zM12 10v4M12 17h.01" },
  { to: "/services", label: "Services", key: "s", icon: "M5 5h14v5H5zM5 14h14v5H5zM8 7.5h.01M8 16.5h.01" },
  { to: "/map", label: "Map", key: "m", icon: "M6 6h.01M18 8h.01M12 18h.01M6 6l12 2M6 6l6 12M18 8l-6 10" },
  { to: "/guardians", label: "Guardians", key: "g", icon: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4" },
  { to: "/traces", label: "Traces", key: "t", icon: "M4 6h10M8 11h9M12 16h8M4 20h4" },
  { to: "/changes", label: "Changes", key: "c", icon: "M12 3v18M12 7h6M12 13H6M12 18h5" },
  { to: "/flags", label: "Flags", key: "f", icon: "M6 21V4M6 4h12l-3 4 3 4H6" },
  { to: "/rollouts", label: "Rollouts", key: "r", icon: "M4 20h4V14h5V9h5V4h3M4 20V4" },
  { to: "/pipelines", label: "Pipelines", key: "d", icon: "M3 12h4M11 12h4M19 12h2M7 9h4v6H7zM15 9h4v6h-4z" },
  { to: "/loadtests", label: "Load tests", key: "l", icon: "M4 18a8 8 0 1 1 16 0M12 18l4-6" },
  { to: "/workflows", label: "Workflows", key: "w", icon: "M4 5h6v5H4zM14 14h6v5h-6zM7 10v6h7" },
  { to: "/audit", label: "Audit", key: "a", icon: "M6 3h9l4 4v14H6zM9 10h6M9 14h6M9 18h4" },
] as const;
