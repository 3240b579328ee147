// How the map looks; its colors are the book's, light and dark.

export const STYLE = `
[data-live="joint_map"] { font-family: var(--mmfuse-sans); font-size: 0.95rem; }
.joint-top, .joint-filters { display: flex; flex-wrap: wrap; gap: 0.6rem 1.5rem;
  align-items: center; margin: 0.8rem 0; }
[data-live="joint_map"] fieldset { border: none; margin: 0; padding: 0; display: flex;
  flex-wrap: wrap; align-items: center; gap: 0.4rem 0.9rem; min-width: 0; }
[data-live="joint_map"] legend { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
.joint-switch { background: var(--pst-color-surface); border-radius: 999px;
  border: 1px solid var(--pst-color-border) !important; padding: 3px !important;
  gap: 2px !important; flex-wrap: nowrap !important; }
.joint-radio { cursor: pointer; margin: 0; }
.joint-radio input { position: absolute; opacity: 0; }
.joint-radio span { display: block; padding: 0.3rem 0.8rem; border-radius: 999px;
  white-space: nowrap; }
.joint-radio input:checked + span { background: var(--pst-color-primary);
  color: var(--pst-color-background); font-weight: 600; }
.joint-radio input:focus-visible + span { outline: 2px solid var(--pst-color-text-base);
  outline-offset: 2px; }
.joint-checkbox { display: inline-flex; align-items: center; gap: 0.35rem; margin: 0;
  min-height: 1.9rem; cursor: pointer; }
.joint-gauge { flex: 1 1 16rem; min-width: 0; }
.joint-line { position: relative; height: 1rem; max-width: 26rem;
  background: linear-gradient(var(--pst-color-border), var(--pst-color-border)) center/100% 2px
  no-repeat; }
.joint-line span { position: absolute; top: 50%; transform: translate(-50%, -50%);
  transition: left 1.1s cubic-bezier(0.65, 0, 0.35, 1); }
.joint-line .joint-text, .joint-line .joint-image { width: 0.9rem; height: 0.9rem;
  border-radius: 50%; background: var(--mmfuse-text); }
.joint-line .joint-image { background: var(--mmfuse-image); }
.joint-line .joint-mark { left: 50%; height: 0.9rem; background: var(--mmfuse-control);
  opacity: 0.35; }
.bd-article .joint-said { margin: 0.3rem 0 0; line-height: 1.4; font-size: 0.88rem;
  min-height: 5.6em; color: var(--pst-color-text-muted); }
.joint-stage { position: relative; }
.joint-plane { display: block; width: 100%; height: min(34rem, 75vh); touch-action: pan-y;
  border: 1px solid var(--pst-color-border); border-radius: 12px; cursor: grab;
  background: var(--pst-color-background); }
.joint-buttons { position: absolute; top: 0.6rem; right: 0.6rem; display: flex; gap: 0.3rem; }
[data-live="joint_map"] button { font: inherit; color: inherit; cursor: pointer;
  background: var(--pst-color-surface); border: 1px solid var(--pst-color-border);
  border-radius: 8px; }
[data-live="joint_map"] :is(button, select, input):focus-visible {
  outline: 2px solid var(--pst-color-primary); outline-offset: 1px; }
.joint-zoom { min-width: 2.2rem; height: 2.2rem; }
.joint-credit { display: block; font-size: 0.75rem; color: var(--pst-color-text-muted); }
.joint-groups select, .joint-search input { font: inherit; color: inherit; padding: 0.3rem 0.5rem;
  background: var(--pst-color-background); border: 1px solid var(--pst-color-text-muted);
  border-radius: 8px; max-width: 100%; }
.joint-below { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.5rem; }
@media (max-width: 700px) {
  .joint-below { grid-template-columns: minmax(0, 1fr); }
  .joint-plane { height: min(27rem, 70vh); }
  .joint-radio span { padding: 0.3rem 0.55rem; font-size: 0.9rem; }
}
.joint-detail { min-height: 8rem; }
.bd-article .joint-detail :is(h2, h3) { margin: 0.2rem 0; }
.bd-article .joint-detail h2 { font-size: 1.2rem; }
.bd-article .joint-detail h3 { font-size: 0.85rem; color: var(--pst-color-text-muted); }
.bd-article .joint-detail p { margin: 0.4rem 0; line-height: 1.45; }
.joint-head { display: flex; align-items: center; gap: 0.7rem; }
.joint-head .joint-tile { width: 3.2rem; height: 3.2rem; }
.bd-article [data-live="joint_map"] ul { list-style: none; margin: 0; padding: 0; }
.bd-article [data-live="joint_map"] li { margin: 0; }
.joint-near ul { display: flex; flex-wrap: wrap; gap: 0.3rem; }
.joint-item { display: flex; align-items: center; gap: 0.4rem; padding: 0.2rem 0.5rem;
  text-align: left; max-width: 100%; min-height: 2rem; }
.joint-tile { flex: none; width: 1.6rem; height: 1.6rem; background-repeat: no-repeat; }
.joint-dot { flex: none; width: 0.6rem; height: 0.6rem; border-radius: 50%;
  background: var(--mmfuse-text); }
.joint-words .joint-dot { background: var(--mmfuse-control); }
.joint-name { overflow-wrap: anywhere; }
.joint-cosine, .joint-kind { color: var(--pst-color-text-muted); font-size: 0.8rem;
  font-variant-numeric: tabular-nums; margin-left: auto; }
.joint-list ul { max-height: 17rem; overflow-y: auto; }
.joint-list .joint-item { width: 100%; border-color: transparent; background: none; }
.joint-search { display: block; }
.joint-search input { display: block; width: 100%; }
.bd-article .joint-count { margin: 0.3rem 0; font-size: 0.85rem;
  color: var(--pst-color-text-muted); }
.joint-more { margin-top: 0.3rem; padding: 0.2rem 0.8rem; }
[hidden] { display: none !important; }
@media (prefers-reduced-motion: reduce) { .joint-line span { transition: none; } }
`;
