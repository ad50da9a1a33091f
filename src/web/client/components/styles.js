// The look that all components share. Custom properties are its knobs: `--tb-accent` and so on.

export const BASE = `
:host {
  --accent: var(--tb-accent, #0a6b4d);
  --accent-strong: var(--tb-accent-strong, #075a40);
  --on-accent: var(--tb-on-accent, #ffffff);
  --ground: var(--tb-ground, #f3f5f2);
  --card: var(--tb-card, #ffffff);
  --raised: var(--tb-raised, #eef2ee);
  --ink: var(--tb-ink, #17211d);
  --quiet: var(--tb-quiet, #53605a);
  --line: var(--tb-line, #dbe1dc);
  --field: var(--tb-field, #7b8a83);
  --danger: var(--tb-danger, #b3261e);
  --on-danger: #ffffff;
  --good: #0a6b4d;
  --fair: #7a5600;
  --poor: #b3261e;
  --radius: var(--tb-radius, 1rem);
  --shadow: 0 1px 2px rgb(16 32 26 / 0.06), 0 8px 24px rgb(16 32 26 / 0.07);
  color: var(--ink);
  font: 400 1rem/1.5 var(--tb-font, system-ui, sans-serif);
  font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
}
@media (prefers-color-scheme: dark) {
  :host {
    --accent: var(--tb-accent, #5fd3a8);
    --accent-strong: var(--tb-accent-strong, #86e2c0);
    --on-accent: var(--tb-on-accent, #06261b);
    --ground: var(--tb-ground, #0e1412);
    --card: var(--tb-card, #171f1c);
    --raised: var(--tb-raised, #202a26);
    --ink: var(--tb-ink, #e9efec);
    --quiet: var(--tb-quiet, #a3b0aa);
    --line: var(--tb-line, #2c3733);
    --field: var(--tb-field, #6f7e77);
    --danger: var(--tb-danger, #ff8d84);
    --on-danger: #3a0603;
    --good: #5fd3a8;
    --fair: #e9bd62;
    --poor: #ff8d84;
    --shadow: 0 1px 2px rgb(0 0 0 / 0.35), 0 10px 30px rgb(0 0 0 / 0.3);
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
h1, h2, h3, p, ul, dl, dd { margin: 0; padding: 0; }
ul { list-style: none; }
h2 { font-size: 1.0625rem; font-weight: 650; letter-spacing: -0.005em; text-wrap: balance; }
.quiet { color: var(--quiet); }
.small { font-size: 0.875rem; }
.card {
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: var(--radius);
  box-shadow: var(--shadow);
}
.icon {
  width: 1.375rem;
  height: 1.375rem;
  flex: none;
  fill: none;
  stroke: currentColor;
  stroke-width: 1.75;
  stroke-linecap: round;
  stroke-linejoin: round;
}
button, .button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  gap: 0.5rem;
  min-width: 2.75rem;
  min-height: 2.75rem;
  padding: 0.5rem 1rem;
  border: 1px solid var(--line);
  border-radius: 0.75rem;
  background: var(--card);
  color: var(--ink);
  font: inherit;
  font-weight: 550;
  cursor: pointer;
  transition: background-color 120ms, border-color 120ms, transform 120ms;
}
button:hover:enabled { background: var(--raised); border-color: var(--field); }
button:active:enabled { transform: scale(0.98); }
button:disabled { opacity: 0.6; cursor: default; }
button.primary { border-color: transparent; background: var(--accent); color: var(--on-accent); }
button.primary:hover:enabled { background: var(--accent-strong); }
button.danger { border-color: transparent; background: var(--danger); color: var(--on-danger); }
button.danger:hover:enabled { filter: brightness(1.08); background: var(--danger); }
button.plain { border-color: transparent; background: transparent; }
button.plain:hover:enabled { background: var(--raised); }
button.round { padding: 0; width: 2.75rem; border-radius: 50%; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
label { display: block; font-weight: 550; }
input, select {
  width: 100%;
  min-height: 2.75rem;
  padding: 0.5rem 0.875rem;
  border: 1px solid var(--field);
  border-radius: 0.75rem;
  background: var(--card);
  color: var(--ink);
  font: inherit;
}
select {
  padding-right: 2.25rem;
  appearance: none;
  background-image: linear-gradient(45deg, transparent 50%, currentColor 50%), linear-gradient(135deg, currentColor 50%, transparent 50%);
  background-position: right 1.3rem center, right 0.95rem center;
  background-size: 0.35rem 0.35rem;
  background-repeat: no-repeat;
  font-weight: 400;
  text-overflow: ellipsis;
  cursor: pointer;
}
@media (forced-colors: active) { select { appearance: auto; background-image: none; } }
input::placeholder { color: var(--quiet); opacity: 1; }
.avatar {
  --size: 2.75rem;
  display: inline-grid;
  place-items: center;
  flex: none;
  width: var(--size);
  height: var(--size);
  border-radius: 50%;
  color: #ffffff;
  font-size: calc(var(--size) * 0.36);
  font-weight: 650;
  letter-spacing: 0.02em;
  line-height: 1;
  user-select: none;
}
.hue-0 { background: linear-gradient(145deg, #0e7c5a, #0a5a66); }
.hue-1 { background: linear-gradient(145deg, #2b62b8, #45379d); }
.hue-2 { background: linear-gradient(145deg, #a33b62, #7a2e86); }
.hue-3 { background: linear-gradient(145deg, #a5501d, #8d2f3b); }
.hue-4 { background: linear-gradient(145deg, #4f6b1c, #1f6a4a); }
.hue-5 { background: linear-gradient(145deg, #5a48b0, #8a3590); }
.empty { display: grid; justify-items: center; gap: 0.25rem; padding: 1.75rem 1rem 1.25rem; text-align: center; color: var(--quiet); }
.empty .icon { width: 3rem; height: 3rem; margin-bottom: 0.5rem; padding: 0.75rem; border-radius: 50%; background: var(--raised); color: var(--accent); }
.empty p:first-of-type { color: var(--ink); font-weight: 600; }
.sr {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
.notice {
  display: flex;
  align-items: center;
  gap: 0.75rem;
  padding: 0.75rem 0.5rem 0.75rem 1rem;
  border: 1px solid var(--line);
  border-left: 0.3rem solid var(--danger);
  border-radius: 0.75rem;
  background: var(--card);
}
.notice p:first-child:not(:last-child) { font-weight: 600; }
.notice button.small { margin: 0.625rem 0.5rem 0 0; }
.notice.info { border-left-color: var(--accent); }
.notice > div { flex: 1; padding: 0.3rem 0; }
.notice p + p { color: var(--quiet); }
dialog { color: inherit; }
dialog::backdrop { background: rgb(6 14 11 / 0.55); }
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation: none !important; transition: none !important; }
}
`;
