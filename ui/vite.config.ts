import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// In development the API is somewhere else: a running server, or the mock
// (`npm run mock`). A built UI is served by the binary itself.
const api = process.env.TIDEGATE_URL ?? "http://127.0.0.1:7070";
const proxied = ["/v1", "/api", "/openapi.json", "/schemas"];

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // The Content-Security-Policy allows no data: scripts or styles; small
    // assets stay files.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "react", test: /node_modules[\\/](react|react-dom|react-router|scheduler)[\\/]/ },
            { name: "mantine", test: /node_modules[\\/](@mantine|@floating-ui|react-remove-scroll)/ },
          ],
        },
      },
    },
  },
  server: { proxy: Object.fromEntries(proxied.map((p) => [p, { target: api }])) },
});
