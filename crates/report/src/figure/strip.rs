//! The stages above and behind a panel: a strip with their letters, shades, and brackets for the intervals in which stages begin.

use std::fmt::{self, Write};

use super::{Band, Horizontal};
use crate::text::Escaped;

/// The heights of the strip and of the brackets under it.
const STRIP: f64 = 13.0;
const BRACKET: f64 = 9.0;
/// The height that the strip adds to a panel.
pub(super) const HEIGHT: f64 = STRIP + BRACKET;
/// A narrower stage has no letter.
const LETTER: f64 = 9.5;

/// The area of the strip and the shades: the sides of the plot, and its top and bottom.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) sides: (f64, f64),
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Draws the strip above the frame.
pub(super) fn draw(f: &mut impl Write, bands: &[Band], x: &Horizontal, frame: Frame) -> fmt::Result {
    for band in bands {
        let (from, to) = ends(band, x, frame);
        let (top, text) = (frame.top - HEIGHT, Escaped(&band.text));
        let width = (to - from - 1.0).max(0.5);
        write!(f, r#"<g><title>{text}</title><path class="b{}" d="M{from:.1} {top:.1}h{width:.1}"#, band.colour % 4)?;
        write!(f, r#"v{STRIP}h-{width:.1}z"/>"#)?;
        if let Some(letter) = band.name.chars().next().filter(|_| width >= LETTER) {
            let (middle, line) = (from + width / 2.0, top + 10.0);
            let letter = Escaped(&letter.to_uppercase().to_string()).to_string();
            write!(f, r#"<text class="letter" x="{middle:.1}" y="{line:.1}" text-anchor="middle">{letter}</text>"#)?;
        }
        f.write_str("</g>")?;
        bracket(f, band, x, frame)?;
    }
    Ok(())
}

/// The interval in which the stage begins.
fn bracket(f: &mut impl Write, band: &Band, x: &Horizontal, frame: Frame) -> fmt::Result {
    let Some((low, high)) = band.start_interval.filter(|(low, high)| low.is_finite() && high.is_finite()) else {
        return Ok(());
    };
    let [from, to] = [low, high].map(|end| x.place(end, frame.sides));
    let (y, text) = (frame.top - BRACKET / 2.0, Escaped(&band.text));
    let up = y - 3.0;
    write!(f, r#"<path class="interval" d="M{from:.1} {up:.1}v6M{from:.1} {y:.1}H{to:.1}M{to:.1} {up:.1}v6">"#)?;
    write!(f, "<title>{text}</title></path>")
}

/// Draws the shades into the frame, and a line where one stage meets the next.
pub(super) fn shade(f: &mut impl Write, bands: &[Band], x: &Horizontal, frame: Frame) -> fmt::Result {
    for band in bands {
        let (from, to) = ends(band, x, frame);
        let (top, bottom) = (frame.top, frame.bottom);
        write!(f, r#"<path class="stage b{}" d="M{from:.1} {top:.1}H{to:.1}V{bottom}H{from:.1}z"/>"#, band.colour % 4)?;
        if band.range.0 > x.ends.0 {
            write!(f, r#"<path class="edge" d="M{from:.1} {top:.1}V{bottom}"/>"#)?;
        }
    }
    Ok(())
}

fn ends(band: &Band, x: &Horizontal, frame: Frame) -> (f64, f64) {
    (x.place(band.range.0, frame.sides), x.place(band.range.1, frame.sides))
}
