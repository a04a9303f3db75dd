//! Writes a [`Figure`] as SVG.

use std::fmt::{self, Display, Write};

use super::axis::Axis;
use super::{Figure, Panel, Point, Series};

const PANEL_WIDTH: f64 = 410.0;
const PANEL_HEIGHT: f64 = 300.0;
/// Around the axes.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 44.0;
/// Of a character, roughly, in the legend's size.
const CHARACTER: f64 = 7.0;

/// The colours of Okabe and Ito, which people with any colour vision tell apart: on a light page and on a dark one.
const COLOURS: [(&str, &str); 6] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9f4a"),
    ("#009e73", "#2bd4a0"),
    ("#a8447f", "#e79bc7"),
    ("#8a6d00", "#f0e442"),
    ("#555555", "#bbbbbb"),
];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:13px;font-weight:600}\
    .small{fill:#555}.grid{stroke:#ddd}.axis{stroke:#888}.band{opacity:.2;stroke:none}.line{fill:none;stroke-width:2}\
    .s1 .line{stroke-dasharray:7 3}.s2 .line{stroke-dasharray:2 3}.s3 .line{stroke-dasharray:9 2 2 2}";
const DARK: &str = "text{fill:#eee}.small{fill:#bbb}.grid{stroke:#444}.axis{stroke:#999}";

/// The style sheet. Colours are written out and not kept in variables, which few programs but browsers know.
fn style() -> String {
    let rules = |of: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        let rule = |(index, colour): (usize, &'static str)| {
            format!(".s{index} .line{{stroke:{colour}}}.s{index} .band,.s{index} .mark{{fill:{colour}}}")
        };
        COLOURS.iter().map(of).enumerate().map(rule).collect()
    };
    let (light, dark) = (rules(|colour| colour.0), rules(|colour| colour.1));
    format!("{STYLE}{light}@media(prefers-color-scheme:dark){{{DARK}{dark}}}")
}

impl Display for Figure {
    /// The SVG, whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = (PANEL_WIDTH * self.panels.len() as f64, PANEL_HEIGHT);
        let view = format!("0 0 {width} {height}");
        write!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" width="{width}" role="img">"#)?;
        write!(f, "<title>{}</title><style>{}</style>", Escaped(&self.caption), style())?;
        for (index, panel) in self.panels.iter().enumerate() {
            write!(f, r#"<g transform="translate({} 0)">"#, index as f64 * PANEL_WIDTH)?;
            draw_panel(f, panel)?;
            f.write_str("</g>")?;
        }
        f.write_str("</svg>\n")
    }
}

fn draw_panel(f: &mut impl Write, panel: &Panel) -> fmt::Result {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let last = points().map(|point| point.x).fold(0.0, f64::max);
    let x = Axis::of_layers(last as usize, LEFT, PANEL_WIDTH - RIGHT);
    let values = points().flat_map(|point| [point.y, point.y + point.sem.unwrap_or(0.0)]);
    let y = Axis::over(values, panel.scale, PANEL_HEIGHT - BOTTOM, TOP);
    write!(f, r#"<text class="title" x="{LEFT}" y="16">{}</text>"#, Escaped(panel.title))?;
    draw_legend(f, &panel.series)?;
    draw_axes(f, panel, &x, &y)?;
    for index in 0..panel.series.len() {
        write!(f, r#"<g class="s{index}">"#)?;
        draw_series(f, panel, index, &x, &y)?;
        f.write_str("</g>")?;
    }
    Ok(())
}

fn draw_legend(f: &mut impl Write, series: &[Series]) -> fmt::Result {
    let mut left = LEFT;
    for (index, series) in series.iter().enumerate() {
        write!(f, r#"<g class="s{index}" transform="translate({left} 34)"><path class="line" d="M0 0h22"/>"#)?;
        mark(f, index, 11.0, 0.0, "")?;
        write!(f, r#"<text x="28" y="4">{}</text></g>"#, Escaped(series.name))?;
        left += 46.0 + CHARACTER * series.name.chars().count() as f64;
    }
    Ok(())
}

fn draw_axes(f: &mut impl Write, panel: &Panel, x: &Axis, y: &Axis) -> fmt::Result {
    let (right, bottom) = (PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM);
    for &tick in y.ticks() {
        let at = y.place(tick).unwrap_or(bottom);
        write!(f, r#"<path class="grid" d="M{LEFT} {at:.1}H{right}"/>"#)?;
        write!(
            f,
            r#"<text class="small" x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            Tick(tick)
        )?;
    }
    for &tick in x.ticks() {
        let at = x.place(tick).unwrap_or(LEFT);
        write!(f, r#"<path class="axis" d="M{at:.1} {bottom}v4"/>"#)?;
        write!(f, r#"<text class="small" x="{at:.1}" y="{}" text-anchor="middle">{tick}</text>"#, bottom + 18.0)?;
    }
    write!(f, r#"<path class="axis" d="M{LEFT} {bottom}H{right}"/>"#)?;
    let middle = (LEFT + right) / 2.0;
    write!(f, r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#, bottom + 36.0, Escaped(panel.x_label))?;
    let middle = (TOP + bottom) / 2.0;
    let label = Escaped(panel.y_label);
    write!(f, r#"<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{label}</text>"#)
}

fn draw_series(f: &mut impl Write, panel: &Panel, index: usize, x: &Axis, y: &Axis) -> fmt::Result {
    let series = &panel.series[index];
    let placed = |point: &Point| Some((x.place(point.x)?, y.place(point.y)?));
    // A point without a place, such as a divergence of zero on a logarithmic axis, breaks the curve.
    for run in series.points.split(|point| placed(point).is_none()).filter(|run| !run.is_empty()) {
        let edge = |point: &Point, sign: f64| {
            let beyond = y.place(point.y + sign * point.sem.unwrap_or(0.0)).unwrap_or(y.start());
            (x.place(point.x).unwrap_or(LEFT), beyond)
        };
        let upper = run.iter().map(|point| edge(point, 1.0));
        let lower = run.iter().rev().map(|point| edge(point, -1.0));
        write!(f, r#"<path class="band" d="{}Z"/>"#, Path(upper.chain(lower).collect()))?;
        write!(f, r#"<path class="line" d="{}"/>"#, Path(run.iter().filter_map(placed).collect()))?;
    }
    for point in &series.points {
        let Some((at_x, at_y)) = placed(point) else { continue };
        let sem = point.sem.map(|sem| format!(" ± {sem:.3}")).unwrap_or_default();
        let told = format!("{}, {} {}: {:.3}{sem} ({})", series.name, panel.x_label, point.x, point.y, panel.y_label);
        mark(f, index, at_x, at_y, &told)?;
    }
    Ok(())
}

/// A marker whose form tells the series, and what it tells a mouse that rests on it.
fn mark(f: &mut impl Write, index: usize, x: f64, y: f64, told: &str) -> fmt::Result {
    let form = match index % 3 {
        0 => "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0",
        1 => "m-3 -3h6v6h-6z",
        _ => "m0 -4l4 7h-8z",
    };
    write!(f, r#"<path class="mark" d="M{x:.1} {y:.1}{form}">"#)?;
    if !told.is_empty() {
        write!(f, "<title>{}</title>", Escaped(told))?;
    }
    f.write_str("</path>")
}

/// A line through places.
struct Path(Vec<(f64, f64)>);

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (x, y)) in self.0.iter().enumerate() {
            write!(f, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })?;
        }
        Ok(())
    }
}

/// A number beside an axis, without the digits that arithmetic left behind.
struct Tick(f64);

impl Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = format!("{:.6}", self.0);
        let short = rounded.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if short.is_empty() || short == "-" { "0" } else { short })
    }
}

/// Text between tags.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scale;
    use super::*;

    fn figure(scale: Scale, ys: &[f64]) -> String {
        let points = ys.iter().enumerate().map(|(i, &y)| Point { x: i as f64, y, sem: Some(0.1) }).collect();
        let series = vec![Series { name: "a < b", points }];
        let panel = Panel { title: "t", x_label: "layer", y_label: "nats", scale, series };
        Figure { name: "f", caption: "Q & A".into(), panels: vec![panel.clone(), panel] }.to_string()
    }

    #[test]
    fn every_number_is_told_and_text_is_escaped() {
        let svg = figure(Scale::Linear, &[0.5, 1.25]);
        assert!(svg.contains("a &lt; b, layer 1: 1.250 ± 0.100 (nats)") && svg.contains("Q &amp; A"), "{svg}");
        assert_eq!(svg.matches("<g class=\"s0\">").count(), 2);
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    }

    #[test]
    fn what_has_no_place_breaks_the_curve_and_nothing_is_nan() {
        let svg = figure(Scale::Log, &[1.0, 0.5, 0.0, 2.0, f64::NAN]);
        assert_eq!(svg.matches("class=\"band\"").count(), 2 * 2);
        assert_eq!(svg.matches("<title>a").count(), 2 * 3);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!figure(Scale::Log, &[0.0]).contains("NaN"));
    }
}
