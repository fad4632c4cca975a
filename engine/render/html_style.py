"""The style of a plan's page: its palette on light and on dark ground."""

from __future__ import annotations

STYLE = """
:root { --ground: #ffffff; --card: #f6f8fa; --line: #d0d7de; --text: #1d2530; --dim: #57606a; --link: #0b5cad;
  --good: #1a7f37; --warn: #8a5a00; --bad: #b3261e; --info: #0b6b82; --bad-ground: #fdecea; }
@media (prefers-color-scheme: dark) {
:root { --ground: #12161c; --card: #1a2027; --line: #343d48; --text: #e7ebf1; --dim: #9aa5b1; --link: #79b8ff;
  --good: #56d364; --warn: #e3b341; --bad: #ff8a80; --info: #6fd3e7; --bad-ground: #3a1714; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 ui-sans-serif, system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .6rem; }
p { margin: .2rem 0; } a { color: var(--link); }
code, pre, .before, .after { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
pre { margin: .4rem 0; white-space: pre-wrap; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
:target { outline: 2px solid var(--link); }
.skip { position: absolute; left: -100vw; } .skip:focus { position: static; }
.summary { font-size: 1.15rem; font-weight: 600; }
.dim { color: var(--dim); } .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.info { color: var(--info); }
.destroys, .refusal, .notice, .finding { border: 1px solid var(--line); border-left: .4rem solid var(--warn);
  border-radius: 6px; padding: .6rem 1rem; margin: 1rem 0; background: var(--card); }
.destroys, .refusal, .finding.bad { border-left-color: var(--bad); background: var(--bad-ground); }
.finding.bad { color: var(--text); }
.destroys h2, .destroys a, .refusal { color: var(--bad); font-weight: 700; } .destroys h2, .finding h2 { margin: 0; }
.destroys ul { columns: 16rem; margin: .4rem 0 0; padding-left: 1.2rem; }
details { border: 1px solid var(--line); border-radius: 6px; background: var(--card); margin: .5rem 0;
  padding: .45rem .9rem; }
summary { cursor: pointer; } details ul { margin: .4rem 0; padding-left: 1.2rem; }
.mark { display: inline-block; width: 1.2em; font: bold 1.1em ui-monospace, monospace; text-align: center; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .4rem 0; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--dim); font-weight: 500; } tbody th { font-weight: 500; }
.before { color: var(--bad); } .after { color: var(--good); }
.picture { border: 1px solid var(--line); border-radius: 6px; }
.picture svg { display: block; margin: 0 auto; max-width: 100%; height: auto; }
@media print { body { max-width: none; } }
"""
