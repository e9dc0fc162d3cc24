// How the bell looks. What a host may set begins with `--campanile-`.

const STYLE = `
:host { display: inline-block; position: relative; font-size: .9375rem; line-height: 1.45; }
:host([hidden]), [hidden] { display: none !important; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host {
  --accent: var(--campanile-accent, light-dark(#2457c5, #93b4ff));
  --wash: var(--campanile-unread, light-dark(#f1f5fe, #1d2536));
  --surface: var(--campanile-surface, light-dark(#fff, #1b1d22));
  --text: var(--campanile-text, light-dark(#1a1d23, #eceef2));
  --soft: var(--campanile-soft, light-dark(#5a6170, #a6adbb));
  --line: var(--campanile-line, light-dark(#e3e6ec, #343841));
  --hover: var(--campanile-hover, light-dark(#f0f2f6, #282c34));
  --badge: var(--campanile-badge, #c8202f);
  --on-badge: var(--campanile-on-badge, #fff);
  --danger: var(--campanile-danger, light-dark(#a3261d, #f5a59c));
  --radius: var(--campanile-radius, 12px);
}
*, ::before, ::after { box-sizing: border-box; }
h2, p, ul { margin: 0; padding: 0; list-style: none; }
button { margin: 0; padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: inherit; cursor: pointer; }
svg { display: block; inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.bell { position: relative; display: grid; place-items: center; inline-size: 2.5rem; block-size: 2.5rem; border-radius: 50%; }
.bell:hover, .bell[aria-expanded="true"] { background: color-mix(in srgb, currentColor 11%, transparent); }
.bell:focus-visible { outline-color: currentColor; }
.bell svg, ::slotted([slot="icon"]) { inline-size: 1.5rem; block-size: 1.5rem; }
.badge { position: absolute; inset-block-start: 0; inset-inline-start: 50%; min-inline-size: 1.2rem; padding: 0 .32rem; border-radius: 1rem; background: var(--badge); color: var(--on-badge); font: 700 .7rem/1.2rem system-ui, sans-serif; text-align: center; }

.panel { position: fixed; inset: auto; margin: 0; padding: 0; inline-size: min(var(--campanile-width, 26rem), 100vw - 16px); flex-direction: column; overflow: hidden; border: 1px solid var(--line); border-radius: var(--radius); background: var(--surface); color: var(--text); box-shadow: 0 12px 32px #0003; overflow-wrap: anywhere; text-align: start; }
.panel:popover-open { display: flex; }
.panel:focus-visible { outline: none; }
.head, .tools { display: flex; align-items: center; padding-block: .6rem .1rem; padding-inline: 1rem .5rem; }
h2 { flex: 1; font-size: 1.1rem; font-weight: 650; }
.tools { flex-wrap: wrap; justify-content: space-between; gap: .1rem .5rem; padding: .25rem .5rem .6rem; border-block-end: 1px solid var(--line); }
.views { display: flex; flex-wrap: wrap; gap: .2rem; }
.views button, .text { padding: .3rem .6rem; border-radius: 8px; color: var(--soft); font-size: .875rem; font-weight: 500; }
.views button:hover, .text:hover, .icon:hover { background: var(--hover); color: var(--text); }
.views [aria-pressed="true"] { background: var(--hover); color: var(--text); font-weight: 650; }
.text, .text:hover { color: var(--accent); font-weight: 600; }
[aria-disabled="true"], [aria-disabled="true"]:hover { color: var(--soft); background: none; cursor: default; }
.icon { flex: none; display: grid; place-items: center; inline-size: 2rem; block-size: 2rem; border-radius: 8px; color: var(--soft); }

.scroll { flex: 1; min-block-size: 0; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
.item { position: relative; display: grid; grid-template-columns: 1fr auto; gap: 0 .5rem; padding-block: .75rem; padding-inline: 1.75rem .5rem; border-block-end: 1px solid var(--line); }
.item:hover { background: var(--hover); }
.item.new { background: var(--wash); }
.item.new::before { content: ""; position: absolute; inset-block-start: 1.1rem; inset-inline-start: .7rem; inline-size: .5rem; block-size: .5rem; border-radius: 50%; background: var(--accent); }
.title { color: inherit; text-decoration: none; }
.title::after { content: ""; position: absolute; inset: 0; }
.title:hover { text-decoration: underline; text-underline-offset: 2px; }
.title:focus-visible { outline: none; }
.title:focus-visible::after { outline: 2px solid var(--accent); outline-offset: -2px; }
.new .title { font-weight: 650; }
.body { color: var(--soft); font-size: .875rem; text-align: -webkit-match-parent; text-align: match-parent; white-space: pre-line; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden; }
.time { color: var(--soft); font-size: .8125rem; }
.actions { position: relative; display: flex; align-self: start; margin-block-start: -.3rem; }

.older { display: block; margin: .5rem auto; }
.state { display: grid; justify-items: center; gap: .5rem; padding: 2.75rem 1.5rem; color: var(--soft); text-align: center; }
.state svg { inline-size: 2.25rem; block-size: 2.25rem; stroke-width: 1.4; }
.bone { block-size: .75rem; margin: .4rem 0; border-radius: 4px; background: var(--line); }
.bar { display: flex; align-items: center; gap: .5rem; padding: .5rem 1rem; border-block: 1px solid var(--line); background: var(--hover); font-size: .875rem; }
.bar:empty { display: none; }
.bar span { flex: 1; }
.bar.bad { color: var(--danger); }

@media (max-height: 26rem) { .panel { overflow-y: auto; scroll-padding-block-end: 3.5rem; } .scroll { flex: none; overflow: visible; } [role="status"] { position: sticky; inset-block-end: 0; } }
@media (prefers-reduced-motion: no-preference) {
  .bone { animation: pulse 1.4s ease-in-out infinite alternate; }
  @keyframes pulse { to { opacity: .45; } }
}
@media (forced-colors: active) {
  .badge, .item.new::before { forced-color-adjust: none; background: Highlight; color: HighlightText; }
  .views [aria-pressed="true"] { outline: 2px solid Highlight; outline-offset: -2px; }
  .bone { background: GrayText; }
  [aria-disabled="true"] { color: GrayText; }
}
`;

// One sheet for every bell of a page. A policy without inline styles lets it through.
let sheet;

export function styles() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return [sheet];
}
