// The style of the bell. Variables for the host begin with `--campanile-`, the bell's own with `--_`, so that they do not collide
// with the host's plain names.

const STYLE = `
:host { display: inline-block; position: relative; font-size: .9375rem; line-height: 1.45; }
:host([hidden]), [hidden] { display: none !important; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host {
  --_accent: var(--campanile-accent, light-dark(#2457c5, #93b4ff));
  --_wash: var(--campanile-unread, light-dark(#f1f5fe, #1d2536));
  --_surface: var(--campanile-surface, light-dark(#fff, #1b1d22));
  --_text: var(--campanile-text, light-dark(#1a1d23, #eceef2));
  --_soft: var(--campanile-soft, light-dark(#5a6170, #a6adbb));
  --_line: var(--campanile-line, light-dark(#e3e6ec, #343841));
  --_hover: var(--campanile-hover, light-dark(#f0f2f6, #282c34));
  --_badge: var(--campanile-badge, #c8202f);
  --_on-badge: var(--campanile-on-badge, #fff);
  --_danger: var(--campanile-danger, light-dark(#a3261d, #f5a59c));
  --_radius: var(--campanile-radius, 12px);
}
*, ::before, ::after { box-sizing: border-box; }
h2, p, ul { margin: 0; padding: 0; list-style: none; }
button { margin: 0; padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: inherit; cursor: pointer; }
svg { display: block; inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: -2px; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.bell { position: relative; display: grid; place-items: center; inline-size: 2.5rem; block-size: 2.5rem; border-radius: 50%; }
.bell:hover, .bell[aria-expanded="true"] { background: color-mix(in srgb, currentColor 11%, transparent); }
.bell:focus-visible { outline-color: currentColor; }
.bell svg, ::slotted([slot="icon"]) { inline-size: 1.5rem; block-size: 1.5rem; }
.badge { position: absolute; inset-block-start: 0; inset-inline-start: 50%; min-inline-size: 1.2rem; padding: 0 .32rem; border-radius: 1rem; background: var(--_badge); color: var(--_on-badge); font: 700 .7rem/1.2rem system-ui, sans-serif; text-align: center; }

.panel { position: fixed; inset: auto; margin: 0; padding: 0; inline-size: min(var(--campanile-width, 26rem), 100% - 16px); flex-direction: column; overflow: hidden; border: 1px solid var(--_line); border-radius: var(--_radius); background: var(--_surface); color: var(--_text); box-shadow: 0 12px 32px #0003; overflow-wrap: anywhere; text-align: start; }
.panel:popover-open { display: flex; }
.panel:focus-visible { outline: none; }
.head, .tools { display: flex; align-items: center; padding-block: .6rem .1rem; padding-inline: 1rem .5rem; }
h2 { flex: 1; font-size: 1.1rem; font-weight: 650; }
.tools { flex-wrap: wrap; justify-content: space-between; gap: .1rem .5rem; padding: .25rem .5rem .6rem; border-block-end: 1px solid var(--_line); }
.views { display: flex; flex-wrap: wrap; gap: .2rem; }
.views button, .text { padding: .3rem .6rem; border-radius: 8px; color: var(--_soft); font-size: .875rem; font-weight: 500; }
.views button:hover, .text:hover, .icon:hover { background: var(--_hover); color: var(--_text); }
.views [aria-pressed="true"] { background: var(--_hover); color: var(--_text); font-weight: 650; }
.text, .text:hover { color: var(--_accent); font-weight: 600; }
[aria-disabled="true"], [aria-disabled="true"]:hover { color: var(--_soft); background: none; cursor: default; }
.icon { flex: none; display: grid; place-items: center; inline-size: 2rem; block-size: 2rem; border-radius: 8px; color: var(--_soft); }

.scroll { flex: 1; min-block-size: 0; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
.item { position: relative; display: grid; grid-template-columns: 1fr auto; gap: 0 .5rem; padding-block: .75rem; padding-inline: 1.75rem .5rem; border-block-end: 1px solid var(--_line); }
.item:hover { background: var(--_hover); }
.item.new { background: var(--_wash); }
.item.new::before { content: ""; position: absolute; inset-block-start: 1.1rem; inset-inline-start: .7rem; inline-size: .5rem; block-size: .5rem; border-radius: 50%; background: var(--_accent); }
.title { color: inherit; text-decoration: none; }
.title::after { content: ""; position: absolute; inset: 0; }
.title:hover { text-decoration: underline; text-underline-offset: 2px; }
.title:focus-visible { outline: none; }
.title:focus-visible::after { outline: 2px solid var(--_accent); outline-offset: -2px; }
.new .title { font-weight: 650; }
.body { color: var(--_soft); font-size: .875rem; text-align: -webkit-match-parent; text-align: match-parent; white-space: pre-line; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden; }
.time { color: var(--_soft); font-size: .8125rem; }
.actions { position: relative; display: flex; align-self: start; margin-block-start: -.3rem; }

.older { display: block; margin: .5rem auto; }
.state { display: grid; justify-items: center; gap: .5rem; padding: 2.75rem 1.5rem; color: var(--_soft); text-align: center; }
.state svg { inline-size: 2.25rem; block-size: 2.25rem; stroke-width: 1.4; }
.bone { block-size: .75rem; margin: .4rem 0; border-radius: 4px; background: var(--_line); }
.bar { display: flex; align-items: center; gap: .5rem; padding: .5rem 1rem; border-block: 1px solid var(--_line); background: var(--_hover); font-size: .875rem; }
.bar:empty { display: none; }
.bar span { flex: 1; }
.bar.bad { color: var(--_danger); }

@media (max-height: 26rem) { .panel { overflow-y: auto; scroll-padding-block-end: 3.5rem; } .scroll { flex: none; overflow: visible; } .scroll ~ .bar { position: sticky; inset-block-end: 0; } }
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

// One sheet for all bells of a page. A Content-Security-Policy without inline styles allows it.
let sheet;

export function styles() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return [sheet];
}
