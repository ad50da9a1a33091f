// Numbers and times as people read them.

const number = new Intl.NumberFormat("en");

export const count = (value) => number.format(Math.round(value));

/** "4.2 Mbit/s" */
export const bits = (value) => `${scaled(value, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])}`;

/** "1.5 GiB" */
export const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);

function scaled(value, step, units) {
  let unit = 0;
  let left = value;
  while (left >= step && unit < units.length - 1) {
    left /= step;
    unit += 1;
  }
  const digits = unit > 0 && left < 100 ? 1 : 0;
  return `${left.toFixed(digits)} ${units[unit]}`;
}

/** "3 days 4 h" */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days > 0) return `${days} ${days === 1 ? "day" : "days"} ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min`;
  return `${whole} s`;
}

/** "10:02" today, with the date before today. */
export function moment(ms) {
  const then = new Date(ms);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return then.toDateString() === new Date().toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
}

/** "38 %"; "< 1 %" for a little. */
export function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const share = (part / whole) * 100;
  return share < 1 ? "< 1 %" : `${Math.round(share)} %`;
}

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
