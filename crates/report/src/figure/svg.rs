//! Writes panels and [`Figure`]s as SVG.

use std::fmt::{self, Display, Write};

use super::draw::{self, WIDTH};
use super::{Band, Figure, Panel, colour, dots, heat};
use crate::text::Escaped;

/// A panel laid out, of whichever kind.
enum Drawing<'a> {
    Lines(draw::Drawing<'a>),
    Heat(heat::Drawing<'a>),
    Dots(dots::Drawing<'a>),
}

impl<'a> Drawing<'a> {
    fn of(panel: &'a Panel, bands: &'a [Band]) -> Self {
        match panel {
            Panel::Lines(lines) => Drawing::Lines(draw::Drawing::of(lines, bands)),
            Panel::Heat(heat) => Drawing::Heat(heat::Drawing::of(heat, bands)),
            Panel::Dots(dots) => Drawing::Dots(dots::Drawing::of(dots)),
        }
    }

    fn height(&self) -> f64 {
        match self {
            Drawing::Lines(drawing) => drawing.height(),
            Drawing::Heat(drawing) => drawing.height(),
            Drawing::Dots(drawing) => drawing.height(),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Drawing::Lines(drawing) => drawing.in_words(),
            Drawing::Heat(drawing) => drawing.in_words(),
            Drawing::Dots(drawing) => drawing.in_words(),
        }
    }

    fn draw(&self, f: &mut impl Write) -> fmt::Result {
        match self {
            Drawing::Lines(drawing) => drawing.draw(f),
            Drawing::Heat(drawing) => drawing.draw(f),
            Drawing::Dots(drawing) => drawing.draw(f),
        }
    }
}

/// A panel as an `svg` element of its own, without a style sheet: a page has one for all.
pub(crate) struct Alone<'a>(pub(crate) &'a Panel, pub(crate) &'a [Band]);

impl Display for Alone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drawing = Drawing::of(self.0, self.1);
        let (height, words) = (drawing.height(), drawing.in_words());
        write!(f, r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{}">"#, Escaped(&words))?;
        drawing.draw(f)?;
        f.write_str("</svg>\n")
    }
}

/// The gap between rows of panels, and the height of the line that names the stages.
const GAP: f64 = 12.0;
const KEY: f64 = 26.0;

impl Display for Figure {
    /// The SVG, whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drawings: Vec<_> = self.panels.iter().map(|panel| Drawing::of(panel, &self.bands)).collect();
        let per_row = if drawings.len() == 4 { 2 } else { drawings.len().clamp(1, 3) };
        let rows: Vec<_> = drawings.chunks(per_row).collect();
        let heights = rows.iter().map(|row| row.iter().map(Drawing::height).fold(0.0, f64::max));
        let shaded = !self.bands.is_empty() && self.panels.iter().any(Panel::is_depth);
        let key = if shaded { KEY * (self.bands.len() as f64 / (2 * per_row) as f64).ceil() } else { 0.0 };
        let (width, height) = (WIDTH * per_row as f64, heights.clone().map(|h| h + GAP).sum::<f64>() - GAP + key);
        write!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0}" width="{width}" "#)?;
        let [title, caption, source] = [&self.title, &self.caption, &self.source].map(|text| Escaped(text));
        write!(
            f,
            r#"role="img"><title>{title}: {source}</title><desc>{caption}</desc><style>{}</style>"#,
            colour::style()
        )?;
        // The colours of the text need a page behind them, light or dark.
        f.write_str(r#"<rect class="paper" width="100%" height="100%"/>"#)?;
        let mut top = 0.0;
        for (row, height) in rows.iter().zip(heights) {
            for (column, drawing) in row.iter().enumerate() {
                write!(f, r#"<g transform="translate({} {top:.0})">"#, column as f64 * WIDTH)?;
                drawing.draw(f)?;
                f.write_str("</g>")?;
            }
            top += height + GAP;
        }
        if shaded {
            self.draw_key(f, top, 2 * per_row)?;
        }
        f.write_str("</svg>\n")
    }
}

impl Figure {
    /// Names the stages below the panels, `per_line` in a line.
    fn draw_key(&self, f: &mut impl Write, top: f64, per_line: usize) -> fmt::Result {
        for (index, band) in self.bands.iter().enumerate() {
            let x = 16.0 + WIDTH / 2.0 * (index % per_line) as f64;
            let y = top + KEY * (index / per_line) as f64;
            let (colour, name) = (band.colour % 4, Escaped(&band.name));
            write!(
                f,
                r#"<path class="b{colour}" d="M{x} {y}h13v13h-13z"/><text x="{}" y="{}">{name}</text>"#,
                x + 19.0,
                y + 11.0
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::Scale;

    use super::super::{Horizontal, Lines, Point, Reference, Series, Side};
    use super::*;

    fn side(scale: Scale, ys: &[f64]) -> Side {
        let point = |(i, &y): (usize, &f64)| Point::new(i as f64, format!("layer {i}"), y).with_sem(Some(0.1));
        let series = Series::new("a < b", ys.iter().enumerate().map(point).collect());
        Side::new("nats", scale).with_series(series).with_reference(Reference::new("r", 0.7))
    }

    fn figure(scale: Scale, ys: &[f64]) -> String {
        let x = Horizontal::layers(ys.len());
        let panel = Panel::Lines(Lines::new("t", x, side(scale, ys)).with_right(side(scale, ys)));
        let band = |colour| Band::layers("stage <1>", colour, colour, colour + 1).with_text("text & \"text\"");
        Figure::new("f", "F")
            .with_caption("Q & A")
            .with_source("m")
            .with_panel(panel.clone())
            .with_panel(panel)
            .with_band(band(0))
            .with_band(band(1).with_start_interval(1, 2).with_start_by_rules(0, 2).with_gradient(0.0, 1.0))
            .to_string()
    }

    #[test]
    fn every_number_is_shown_and_text_is_escaped() {
        let svg = figure(Scale::Linear, &[0.5, 1.25]);
        assert!(svg.contains("layer 1, a &lt; b: 1.25 ± 0.1 (nats)") && svg.contains("Q &amp; A"), "{svg}");
        assert_eq!(svg.matches("class=\"over\"").count(), 2 * 2);
        assert_eq!((svg.matches("class=\"interval\"").count(), svg.matches("class=\"rules\"").count()), (2, 2));
        assert_eq!((svg.matches("class=\"stage slice\"").count(), svg.matches("class=\"step\"").count()), (2 * 12, 0));
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
        // Two panels, each with a number to compare with on either side: a line in the plot and one in the legend.
        assert_eq!(svg.matches("class=\"reference r").count(), 2 * 2 * 2);
        assert_eq!((svg.matches(">r</text>").count(), svg.matches(">r →</text>").count()), (2, 2));
    }

    #[test]
    fn a_file_has_a_page_behind_it_and_a_picture_of_a_page_has_none() {
        let svg = figure(Scale::Linear, &[0.5, 1.25]);
        assert!(svg.contains("</style><rect class=\"paper\" width=\"100%\" height=\"100%\"/><g"), "{svg}");
        let rules = |svg: &str| svg.matches(".paper{fill:#").count();
        assert_eq!((rules(&svg), svg.matches("class=\"paper\"").count()), (2, 1), "light and dark");
        let panel = Panel::Lines(Lines::new("t", Horizontal::layers(1), side(Scale::Linear, &[1.0])));
        assert!(!Alone(&panel, &[]).to_string().contains("paper"));
    }

    #[test]
    fn what_has_no_place_breaks_the_curve_and_nothing_is_nan() {
        let svg = figure(Scale::Log, &[1.0, 0.05, 0.0, 2.0, f64::NAN]);
        assert_eq!(svg.matches("class=\"band\"").count(), 2 * 2 * 2);
        assert_eq!(svg.matches("class=\"over\"").count(), 2 * 4);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        for odd in [&[0.0][..], &[f64::NAN], &[], &[f64::INFINITY, 1e300, -1e300]] {
            assert!(!figure(Scale::Log, odd).contains("NaN"));
            assert!(!figure(Scale::Fitted, odd).contains("NaN"));
        }
    }
}
