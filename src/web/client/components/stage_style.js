// The look of an active call: a dark stage in either colour scheme, so that faces stand out.

import { sheet } from "./base.js";

export const STAGE = sheet(`
:host { display: block; height: 100%; }
#stage {
  position: relative;
  display: grid;
  grid-template-rows: auto 1fr auto auto auto;
  height: 100%;
  min-height: 24rem;
  overflow: hidden;
  background: radial-gradient(120% 90% at 50% 0%, #1f3b33 0%, #101c19 55%, #0a1110 100%);
  color: #f2f6f4;
  --accent: #7fe3be;
  --accent-strong: #a4eed3;
  --on-accent: #06261b;
}
#stage:focus { outline: none; }
#stage > * { position: relative; }
#far { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; opacity: 0; }
#far.contain { object-fit: contain; background: #000000; }
.picture #far { opacity: 1; }
header {
  display: flex;
  flex-wrap: wrap;
  justify-content: space-between;
  gap: 0.5rem 1rem;
  padding: 1rem 1.25rem;
}
.picture header { background: linear-gradient(rgb(0 0 0 / 0.7), rgb(0 0 0 / 0.45) 60%, rgb(0 0 0 / 0)); padding-bottom: 2rem; }
.picture #state, .picture .mark, .picture .mark .detail { color: #ffffff; }
.title { display: grid; }
h2 { font-size: 1.25rem; line-height: 1.25; }
#state { color: #c3d2cb; font-size: 1rem; }
.mark { display: inline-flex; align-items: center; gap: 0.5rem; font-size: 0.875rem; color: #d5e0db; }
.mark .detail { display: none; color: #b3c2bb; }
.bars { display: inline-flex; align-items: flex-end; gap: 2px; height: 0.875rem; }
.bars i { width: 4px; height: 40%; border-radius: 1px; background: rgb(255 255 255 / 0.28); }
.bars i:nth-child(2) { height: 70%; }
.bars i:nth-child(3) { height: 100%; }
.good .bars i { background: #7fe3be; }
.fair .bars i:not(:nth-child(3)) { background: #f0c46a; }
.poor .bars i:first-child { background: #ff9a91; }
#face { display: grid; align-content: center; justify-items: center; gap: 1rem; min-height: 0; padding: 0.5rem 1rem; }
#face .avatar { --size: min(9rem, 26vh); box-shadow: 0 0 0 0.5rem rgb(255 255 255 / 0.06), 0 0 0 1.25rem rgb(255 255 255 / 0.035); }
.waits #face .avatar { animation: breathe 2.4s ease-in-out infinite; }
@keyframes breathe { 50% { box-shadow: 0 0 0 0.875rem rgb(255 255 255 / 0.09), 0 0 0 2.25rem rgb(255 255 255 / 0.045); } }
.hint { color: #c3d2cb; font-size: 0.9375rem; text-align: center; }
#hint { min-height: 1.5rem; }
.picture #face { align-content: end; }
.picture #face .who { display: none; }
.picture #hint { color: #ffffff; }
.picture #hint:not(:empty) { padding: 0.25rem 0.875rem; border-radius: 1rem; background: rgb(0 0 0 / 0.65); }
#near {
  position: absolute;
  right: 1rem;
  top: 5.25rem;
  width: clamp(6rem, 22vw, 13rem);
  aspect-ratio: 4 / 3;
  border-radius: 0.875rem;
  border: 2px solid rgb(255 255 255 / 0.2);
  background: #000000;
  object-fit: cover;
  box-shadow: 0 10px 30px rgb(0 0 0 / 0.45);
}
#near.mirror { transform: scaleX(-1); }
#notices:empty { display: none; }
#notices p {
  max-width: 36rem;
  margin: 0 auto 0.75rem;
  padding: 0.625rem 1rem;
  border-radius: 0.75rem;
  background: #3a2a12;
  color: #ffe2ad;
  font-size: 0.9375rem;
}
#tap { justify-self: center; margin-bottom: 0.75rem; }
#words {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  justify-content: center;
  gap: 0.125rem 0.625rem;
  padding: 0.5rem 1rem;
}
#words .icon { width: 1.125rem; height: 1.125rem; color: #7fe3be; }
#four { font-weight: 650; letter-spacing: 0.01em; }
.picture #words { justify-self: center; margin-bottom: 0.5rem; border-radius: 1.25rem; background: rgb(0 0 0 / 0.65); }
.picture #words .hint { color: #ffffff; }
.panel {
  position: absolute;
  z-index: 1;
  max-height: calc(100dvh - 18rem);
  overflow: auto;
  right: 0;
  bottom: 100%;
  left: 0;
  display: grid;
  gap: 0.75rem;
  width: min(26rem, calc(100% - 2rem));
  margin: 0 auto 0.5rem;
  padding: 1rem 1.125rem 1.25rem;
  box-shadow: 0 16px 48px rgb(0 0 0 / 0.5);
  border: 1px solid rgb(255 255 255 / 0.14);
  border-radius: 1rem;
  background: #16211e;
}
.chooses #words { visibility: hidden; }
.panel select { margin-top: 0.25rem; background-color: #0e1614; color: #f2f6f4; border-color: #71827a; }
.panel label { font-size: 0.9375rem; }
footer {
  padding: 0.5rem 0.75rem max(1rem, env(safe-area-inset-bottom));
  background: linear-gradient(rgb(0 0 0 / 0), rgb(0 0 0 / 0.35));
}
.picture footer { padding-top: 1.5rem; background: linear-gradient(rgb(0 0 0 / 0), rgb(0 0 0 / 0.6) 35%, rgb(0 0 0 / 0.75)); }
.picture .disc { background: rgb(20 30 27 / 0.82); }
.picture .pressed .disc { background: #f2f6f4; }
.picture .control.end .disc { background: #d43a31; }
.level { width: 8rem; height: 4px; margin: 0 auto 0.875rem; border-radius: 2px; background: rgb(255 255 255 / 0.14); overflow: hidden; }
.level i { display: block; height: 100%; border-radius: 2px; background: #7fe3be; transform: scaleX(0); transform-origin: left; }
.controls { display: flex; flex-wrap: wrap; justify-content: center; gap: 0.5rem 0.375rem; }
.control {
  display: grid;
  justify-items: center;
  align-content: start;
  gap: 0.375rem;
  width: 5.25rem;
  padding: 0.25rem 0;
  border: 0;
  background: transparent;
  color: #f2f6f4;
  font-size: 0.8125rem;
  font-weight: 500;
  line-height: 1.2;
}
.control:hover:enabled { background: transparent; }
.control:disabled { opacity: 0.45; }
.disc {
  display: grid;
  place-items: center;
  width: 3.25rem;
  height: 3.25rem;
  border-radius: 50%;
  background: rgb(255 255 255 / 0.13);
  transition: background-color 120ms;
}
.control:hover:enabled .disc { background: rgb(255 255 255 / 0.24); }
.pressed .disc { background: #f2f6f4; color: #10201b; }
.control.pressed:hover:enabled .disc { background: #ffffff; }
.control:focus-visible { outline: none; }
.control:focus-visible .disc { outline: 3px solid #7fe3be; outline-offset: 3px; }
.control.end .disc { background: #d43a31; color: #ffffff; }
.control.end:hover:enabled .disc { background: #e5554c; }
@media (max-width: 30rem) {
  .controls { display: grid; grid-template-columns: repeat(3, 1fr); justify-items: center; max-width: 22rem; margin: 0 auto; }
  #near { top: 4.75rem; }
  .picture #words .hint { display: none; }
}
@media (min-width: 48rem) {
  header { padding: 1.5rem 2rem; }
  h2 { font-size: 1.5rem; }
  .mark .detail { display: inline; }
  #near { right: 2rem; top: 6rem; }
  footer { padding-bottom: 1.75rem; }
}
`);
