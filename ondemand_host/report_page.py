"""A report as a page: one file that needs neither server nor network nor scripts.

Knows how the histories are drawn; hides HTML and SVG.  Every text of others is escaped, and what could steer a reader is visible.
"""

import html
import math
import time

from ondemand_host.report import summary
from ondemand_host.table import milliseconds, moment, size, span
from ondemand_host.visible import visible

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 720, 120, 16, 26, 26  # pixels of a drawing
_CURVE, _POINTS = 160, 400
_LEAST, _MOST = 10.0, 100000.0  # milliseconds of the scale of wakes
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --back: #fff; --text: #1c2024; --soft: #667; --line: #d8dce2; --awake: #1a7f5a;
  --unknown: #c0c6ce; --failed: #c4314b; --memory: #2f6fb7; }}
@media (prefers-color-scheme: dark) {{ :root {{ --back: #14171a; --text: #e6e8ea; --soft: #9aa4ae; --line: #333a42;
  --awake: #4fc596; --unknown: #4a525b; --failed: #ff7a90; --memory: #7db4f0; }} }}
body {{ background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem;
  padding: 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
p.soft, figcaption {{ color: var(--soft); font-size: .9rem; }}
figure {{ margin: 0; overflow-x: auto; }}
svg {{ display: block; height: auto; min-width: 44rem; width: 100%; }}
svg text {{ fill: var(--text); font: 12px system-ui, sans-serif; }} svg text.soft {{ fill: var(--soft); }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: right; white-space: nowrap; }}
th {{ vertical-align: bottom; white-space: normal; }}
th:first-child, td:first-child, td.text, th.text {{ text-align: left; }}
</style>
</head>
<body>
"""


def page(found: "Report", host: "str") -> "str":
    """Return the page of a report of a host."""
    title = "On-demand services of {}".format(host)
    parts = [_HEAD.format(title=_text(title)), "<h1>{}</h1>\n<p>{}</p>\n".format(_text(title), _text(summary(found)))]
    if found.histories:
        parts += ["<h2>Awake and asleep</h2>\n", _timeline(found), "<h2>How long wakes took</h2>\n", _durations(found),
                  "<h2>Memory given back</h2>\n", _memory(found), "<h2>Numbers</h2>\n", _table(found)]
    else:
        parts.append("<p>No on-demand service is installed, and the journal holds no wake.</p>\n")
    return "".join(parts) + "</body>\n</html>\n"


def _text(text: "str") -> "str":
    return html.escape(visible(text))


def _svg(height: "float", inside: "str", title: "str") -> "str":
    return '<figure><svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg></figure>\n'.format(
        _WIDTH, height, _text(title), inside)


def _label(x: "float", y: "float", text: "str", anchor: "str" = "start", is_soft: "bool" = True) -> "str":
    return '<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>'.format(x, y, anchor, ' class="soft"' if is_soft else "",
                                                                         _text(text))


def _line(x1: "float", y1: "float", x2: "float", y2: "float") -> "str":
    return '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="var(--line)"/>'.format(x1, y1, x2, y2)


def _name(row: "int", name: "str") -> "str":
    short = name if len(name) <= 16 else name[:15] + "\N{HORIZONTAL ELLIPSIS}"
    return _label(_LEFT - 8, _TOP + _ROW * row + 17, short, "end", is_soft=False)


def _place(found: "Report", when: "float") -> "float":
    """Return where on the axis of time something is."""
    share = (when - found.begin) / (found.end - found.begin)
    return _LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT)


def _axis(found: "Report", height: "float") -> "str":
    """Return the axis of time: five moments, by day and time of the host."""
    parts = []
    form = "%d %b" if found.end - found.begin > 4 * 86400 else "%d %b %H:%M" if found.end - found.begin > 86400 else "%H:%M"
    for step in range(5):
        when = found.begin + step * (found.end - found.begin) / 4
        x = _place(found, when)
        anchor = "start" if step == 0 else "end" if step == 4 else "middle"
        parts += [_line(x, _TOP - 6, x, height), _label(x, 14, time.strftime(form, time.localtime(when)), anchor)]
    return "".join(parts)


def _timeline(found: "Report") -> "str":
    height = _TOP + _ROW * len(found.histories) + 6
    parts = [_axis(found, height)]
    for row, one in enumerate(found.histories):
        y = _TOP + _ROW * row + 4
        parts.append(_name(row, one.name))
        for awake in one.awake:
            x = _place(found, awake.begin)
            width = max(1.5, _place(found, awake.end) - x) if awake.end is not None else 3.0
            told = "awake from {} to {}".format(moment(awake.begin), moment(awake.end)) if awake.end is not None else (
                "awake from {}; its end was not recorded".format(moment(awake.begin)))
            parts.append('<rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" fill="var(--{})"><title>{}</title></rect>'.format(
                x, y, width, _ROW - 8, "awake" if awake.end is not None else "unknown", _text(told)))
        parts += ['<circle cx="{:.1f}" cy="{}" r="3" fill="var(--failed)"><title>{}</title></circle>'.format(
            _place(found, failure.time), y + (_ROW - 8) / 2, _text("failed {}: {}".format(moment(failure.time), failure.reason)))
            for failure in one.failures]
    return _svg(height, "".join(parts), "When each service was awake") + (
        '<p class="soft">Green: awake. Grey: awake, its end was not recorded. Red: a failed wake.</p>\n')


def _durations(found: "Report") -> "str":
    height = _TOP + _ROW * len(found.histories) + 6
    span_of = math.log10(_MOST / _LEAST)

    def place(count: "float") -> "float":
        share = math.log10(min(_MOST, max(_LEAST, count)) / _LEAST) / span_of
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    parts = []
    for count in (10, 100, 1000, 10000, 100000):
        x = place(count)
        anchor = "start" if count == _LEAST else "end" if count == _MOST else "middle"
        parts += [_line(x, _TOP - 6, x, height), _label(x, 14, "{:g} s".format(count / 1000), anchor)]
    for row, one in enumerate(found.histories):
        y = _TOP + _ROW * row + _ROW / 2
        parts.append(_name(row, one.name))
        parts += ['<circle cx="{:.1f}" cy="{:.1f}" r="4" fill="var(--awake)" fill-opacity=".45"><title>{}</title></circle>'
                  .format(place(wake.total), y, _text("{}: {}{}".format(
                moment(wake.time), milliseconds(wake.total), ", by {}".format(wake.client) if wake.client else "")))
            for wake in one.wakes if wake.total is not None]
    return _svg(height, "".join(parts), "How long the wakes of each service took") + (
        '<p class="soft">Each dot is a wake, from the client\'s connection to the first byte of its answer.</p>\n')


def _memory(found: "Report") -> "str":
    """Return the curve of what all services together gave back."""
    moments = [found.begin + step * (found.end - found.begin) / (_POINTS - 1) for step in range(_POINTS)]
    totals = [sum(count for one in found.histories for since, until, count in one.given_back if since <= when < until)
              for when in moments]
    if not any(totals):
        return "<p>Nothing was measured: memory is measured when a service is stopped because it has no traffic.</p>\n"
    bottom, most = float(_TOP + _CURVE), max(totals)
    points = ["{:.1f},{:.1f}".format(_place(found, when), bottom - total / most * (_CURVE - 12))
              for when, total in zip(moments, totals)]
    parts = [_axis(found, bottom), _line(_LEFT, bottom, _WIDTH - _RIGHT, bottom),
             _label(_LEFT - 8, bottom, "0", "end"), _label(_LEFT - 8, _TOP + 16, size(most), "end"),
             '<polygon points="{:.1f},{:.1f} {} {:.1f},{:.1f}" fill="var(--memory)" fill-opacity=".25" '
             'stroke="var(--memory)"/>'.format(
                 _place(found, moments[0]), bottom, " ".join(points), _place(found, moments[-1]), bottom)]
    return _svg(bottom + 6, "".join(parts), "Memory given back by sleeping services") + (
        '<p class="soft">The proportional set size (PSS) of a container\'s processes, measured when it was stopped without '
        "traffic; it counts until its next wake.</p>\n")


def _table(found: "Report") -> "str":
    rows = []
    for one in found.histories:
        times, awake = one.wake_time(), one.seconds_awake(found.begin, found.end)
        wakers = ", ".join("{} ({})".format(client, count) for client, count in one.wakers()[:3]) or "-"
        cells = [(one.name, "text"), (str(len(one.wakes)), ""), (str(len(one.failures)), ""), (span(awake), ""),
                 ("{:.1f} %".format(100 * awake / (found.end - found.begin)), ""),
                 (milliseconds(times.p50) if times else "-", ""), (milliseconds(times.p99) if times else "-", ""),
                 (size(one.mean_given_back(found.begin, found.end)) if one.given_back else "-", ""), (wakers, "text")]
        rows.append("<tr>{}</tr>\n".format("".join('<td class="{}">{}</td>'.format(kind, _text(text)) for text, kind in cells)))
    head = "".join("<th{}>{}</th>".format(' class="text"' if name == "Woken by" else "", name) for name in (
        "Service", "Wakes", "Failed", "Awake", "Share", "50 % within", "99 % within", "Gave back, mean", "Woken by"))
    return '<div class="scroll"><table>\n<tr>{}</tr>\n{}</table></div>\n'.format(head, "".join(rows))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from ondemand_host.report import Report
