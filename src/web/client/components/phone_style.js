// The look of `<tb-phone>`.

import { sheet } from "./base.js";

export const PHONE = sheet(`
:host { display: block; min-height: 100dvh; background: var(--ground); }
.page { max-width: 68rem; margin: 0 auto; padding: 0 1rem 2.5rem; }
.page.out { display: grid; align-content: center; min-height: 100dvh; padding-block: 1.5rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.75rem; padding: 0.875rem 0; }
.brand { display: flex; align-items: center; gap: 0.625rem; margin-right: auto; }
.logo {
  display: grid;
  place-items: center;
  width: 2.25rem;
  height: 2.25rem;
  border-radius: 0.75rem;
  background: linear-gradient(145deg, #12916a, #07503a);
  color: #ffffff;
}
h1 { font-size: 1.125rem; letter-spacing: -0.01em; }
.me { display: flex; align-items: center; gap: 0.5rem; min-width: 0; }
.me .avatar { --size: 2.25rem; }
.me b { max-width: 12rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
header select { width: auto; border-radius: 1.5rem; border-color: var(--line); background-color: var(--card); font-size: 0.9375rem; }
#state { display: flex; align-items: center; gap: 0.5rem; padding: 0.625rem 1rem; margin-bottom: 1rem; border-radius: 0.75rem; background: var(--raised); }
#state:empty { display: none; }
#notices { display: grid; gap: 0.75rem; }
#notices:not(:empty) { margin-bottom: 1rem; }
.columns { display: grid; gap: 1rem; align-items: start; }
.side { display: grid; gap: 1rem; }
.tools { display: grid; }
.tools > * { padding: 1.25rem; }
.tools > * + * { border-top: 1px solid var(--line); }
#sound { width: 100%; margin-bottom: 1rem; border-color: var(--accent); color: var(--accent); background: var(--card); }
#stage { position: fixed; inset: 0; z-index: 2; }
.bottom { display: flex; flex-wrap: wrap; justify-content: center; gap: 0.5rem; margin-top: 1.5rem; }
@media (max-width: 30rem) {
  .brand h1 { display: none; }
  .me .avatar { display: none; }
  .me b { max-width: 8rem; }
  header select { padding-left: 0.875rem; }
}
@media (min-width: 52rem) {
  .page { padding-inline: 2rem; }
  header { padding: 1.25rem 0; }
  .columns { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.25rem; }
}
`);
