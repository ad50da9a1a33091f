// All web components. `<script type="module" src=".../client/components.js">` and `<tb-phone>` is a telephone.

export { TbActiveCall } from "./components/tb-active-call.js";
export { TbCallButton } from "./components/tb-call-button.js";
export { TbDialer } from "./components/tb-dialer.js";
export { TbHistory } from "./components/tb-history.js";
export { TbIncoming } from "./components/tb-incoming.js";
export { TbMicTest } from "./components/tb-mic-test.js";
export { TbPhone } from "./components/tb-phone.js";
export { setTexts } from "./components/texts.js";
