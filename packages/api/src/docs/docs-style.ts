/** Light and dark by the reader's setting; contrast at least 4.5:1 for text in both. */
export const DOCS_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f7f8fa; --card: #ffffff; --side: #f0f2f5; --line: #dfe3e8; --text: #1a2230; --soft: #566173;
  --accent: #0a6ebd; --code: #f1f4f8; --code-text: #1d2b3e; --shadow: 0 1px 2px rgb(16 24 40 / 6%);
  --get: #0b7a57; --post: #1560bd; --put: #94600a; --delete: #b3261e; --good: #0b7a57; --bad: #94600a;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141b; --card: #161d27; --side: #121820; --line: #2a3442; --text: #e4e9f0; --soft: #9aa7b8;
    --accent: #6cb6ff; --code: #0c1118; --code-text: #d3deeb; --shadow: none;
    --get: #4cc38a; --post: #6cb6ff; --put: #e0a83e; --delete: #ff8a80; --good: #4cc38a; --bad: #e0a83e;
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
html { scroll-behavior: smooth; scroll-padding-top: 24px; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; display: grid; grid-template-columns: 280px minmax(0, 1fr); background: var(--page); color: var(--text);
  font: 15px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
code, pre { font-family: var(--mono); font-size: 0.88em; }
pre code { font-size: inherit; }
p code, td code { background: var(--code); color: var(--code-text); padding: 1px 5px; border-radius: 4px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 12px; top: 12px; background: var(--card); padding: 8px 12px; z-index: 2; }

aside {
  position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 20px 16px 32px; background: var(--side);
  border-right: 1px solid var(--line);
}
.brand { display: flex; gap: 11px; align-items: center; margin: 0 6px 16px; }
.brand strong { display: block; font-size: 16px; line-height: 1.25; letter-spacing: -0.01em; }
.version { color: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.logo { width: 34px; height: 34px; flex: none; }
.logo rect { fill: var(--accent); }
.logo path { fill: none; stroke: #fff; stroke-width: 2; stroke-linecap: round; }
@media (prefers-color-scheme: dark) { .logo path { stroke: #0f141b; } }
.logo .gate { stroke-opacity: 0.5; }
#filter {
  width: 100%; padding: 8px 11px; border: 1px solid var(--line); border-radius: 8px; background: var(--card);
  color: inherit; font: inherit; font-size: 14px;
}
#filter::placeholder { color: var(--soft); opacity: 1; }
nav h2 { margin: 20px 8px 5px; font-size: 11px; letter-spacing: 0.08em; text-transform: uppercase; font-weight: 600; }
nav h2 a { color: var(--soft); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a {
  display: flex; gap: 9px; align-items: baseline; padding: 4px 8px; border-radius: 6px; color: var(--text);
  font-size: 13.5px; line-height: 1.4;
}
nav li a:hover { background: var(--line); text-decoration: none; }
nav li a[aria-current] { background: color-mix(in srgb, var(--accent) 14%, transparent); color: var(--accent); }

main { padding: 44px clamp(20px, 5vw, 72px) 120px; max-width: 1080px; width: 100%; }
.intro { margin-bottom: 16px; }
h1 { font-size: 34px; line-height: 1.15; letter-spacing: -0.025em; margin: 0 0 12px; }
.group > h2 { font-size: 23px; letter-spacing: -0.015em; margin: 60px 0 4px; }
h3 { font-size: 17.5px; letter-spacing: -0.01em; margin: 0 0 10px; }
h4 { font-size: 12px; letter-spacing: 0.06em; text-transform: uppercase; color: var(--soft); font-weight: 600; margin: 24px 0 8px; }
h4 .schema { text-transform: none; letter-spacing: 0; }
.lead { color: var(--soft); max-width: 68ch; margin: 0; }
.lead p { margin: 0 0 10px; }
.about { max-width: 72ch; }
.about p { margin: 0 0 8px; }
.button {
  display: inline-block; padding: 6px 14px; border: 1px solid var(--line); border-radius: 8px; background: var(--card);
  font-size: 14px; box-shadow: var(--shadow);
}
.button:hover { border-color: var(--accent); text-decoration: none; }
article {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px; margin: 18px 0;
  box-shadow: var(--shadow);
}
article:target { border-color: var(--accent); box-shadow: 0 0 0 3px color-mix(in srgb, var(--accent) 18%, transparent); }
.anchor { color: inherit; }
.anchor:hover::after { content: " #"; color: var(--soft); }
.endpoint { display: flex; gap: 10px; align-items: center; flex-wrap: wrap; margin: 0 0 12px; }
.endpoint code { background: none; padding: 0; font-size: 14px; overflow-wrap: anywhere; }
.endpoint em { font-style: normal; color: var(--accent); }
.open { font-size: 12px; color: var(--soft); border: 1px solid var(--line); padding: 0 8px; border-radius: 99px; }

.method {
  display: inline-block; flex: none; min-width: 42px; text-align: center; text-transform: uppercase; font: 700 10.5px/18px var(--mono);
  letter-spacing: 0.04em; border-radius: 5px; padding: 0 6px; color: var(--hue);
  background: color-mix(in srgb, var(--hue) 13%, transparent);
}
.method.get { --hue: var(--get); }
.method.post { --hue: var(--post); }
.method.put, .method.patch { --hue: var(--put); }
.method.delete { --hue: var(--delete); }
.endpoint .method { font-size: 12px; line-height: 23px; padding: 0 9px; }

.curl { position: relative; margin: 14px 0 4px; }
.curl pre {
  margin: 0; padding: 13px 76px 13px 16px; background: var(--code); color: var(--code-text); border: 1px solid var(--line);
  border-radius: 8px; overflow-x: auto; line-height: 1.55;
}
.copy {
  position: absolute; top: 8px; right: 8px; padding: 3px 10px; font: 500 12px/1.5 inherit; font-family: inherit; color: var(--soft);
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; cursor: pointer;
}
.copy:hover { color: var(--accent); border-color: var(--accent); }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; font-size: 12.5px; color: var(--soft); }
th, td { padding: 8px 16px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
td .name { background: none; padding: 0; font-weight: 600; color: var(--text); font-size: 13px; }
.fields td:first-child { width: 30%; min-width: 190px; }
.fields .type { color: var(--soft); font-family: var(--mono); font-size: 12.5px; min-width: 130px; max-width: 230px; overflow-wrap: anywhere; }
.range, .place, .required { display: block; font: 11.5px/1.5 system-ui, sans-serif; color: var(--soft); }
.required { color: var(--bad); }
.default { color: var(--soft); white-space: nowrap; }
.answers td:first-child { width: 64px; }
.status { font: 600 12.5px/1.6 var(--mono); }
.s2 { color: var(--good); }
.s4, .s5 { color: var(--bad); }
.schema { font: 12.5px/1.5 var(--mono); }

@media (max-width: 860px) {
  body { display: block; }
  aside { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); padding-bottom: 16px; }
  aside nav { display: none; }
  main { padding-top: 28px; }
  article { padding: 18px 16px; }
  .curl pre { padding-right: 16px; padding-top: 40px; }
  .fields thead { display: none; }
  .fields, .fields tbody, .fields tr, .fields td { display: block; width: auto; max-width: none; min-width: 0; }
  .fields tr { padding: 10px 0; border-bottom: 1px solid var(--line); }
  .fields tr:last-child { border-bottom: 0; }
  .fields td { border: 0; padding: 2px 0; }
  .range, .place, .required { display: inline; margin-left: 10px; }
}
@media print {
  body { display: block; }
  aside, .copy { display: none; }
  article { break-inside: avoid; box-shadow: none; }
}
`;
