//! The stages above a panel and in its background: a strip with their letters, shades with lines or gradients between them, and brackets for
//! the two bands in which stages begin.

use std::fmt::{self, Write};

use super::{Band, Horizontal, colour};
use crate::text::Escaped;

/// The heights of the strip and of the brackets under it.
const STRIP: f64 = 13.0;
const BRACKET: f64 = 11.0;
/// The height that the strip adds to a panel.
pub(super) const HEIGHT: f64 = STRIP + BRACKET;
/// A narrower stage has no letter.
const LETTER: f64 = 9.5;
/// Slices of a gradient.
const SLICES: usize = 12;

/// The area of the strip and the shades: the sides of the plot, and its top and bottom.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) sides: (f64, f64),
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Draws the strip above the frame.
pub(super) fn draw(f: &mut impl Write, bands: &[Band], x: &Horizontal, frame: Frame) -> fmt::Result {
    let top = frame.top - HEIGHT;
    fill(f, "", bands, (x, Frame { top, bottom: top + STRIP, ..frame }))?;
    for band in bands {
        let (from, to) = (x.place(band.range.0, frame.sides), x.place(band.range.1, frame.sides));
        let (text, width) = (Escaped(&band.text), to - from);
        write!(
            f,
            r#"<g><title>{text}</title><path class="none" d="M{from:.1} {top:.1}h{width:.1}v{STRIP}h-{width:.1}z"/>"#
        )?;
        if let Some(letter) = band.name.chars().next().filter(|_| width >= LETTER) {
            let (middle, line) = (from + width / 2.0, top + 10.0);
            let letter = Escaped(&letter.to_uppercase().to_string()).to_string();
            write!(f, r#"<text class="letter" x="{middle:.1}" y="{line:.1}" text-anchor="middle">{letter}</text>"#)?;
        }
        f.write_str("</g>")?;
        let y = frame.top - BRACKET / 2.0;
        bracket(f, (band, band.start_interval), "interval", (x, frame, y - 2.5))?;
        bracket(f, (band, band.start_by_rules), "rules", (x, frame, y + 2.5))?;
    }
    Ok(())
}

/// The places in which the stage begins, as a line with ends.
fn bracket(
    f: &mut impl Write,
    (band, places): (&Band, Option<(f64, f64)>),
    class: &str,
    (x, frame, y): (&Horizontal, Frame, f64),
) -> fmt::Result {
    let Some((low, high)) = places.filter(|(low, high)| low.is_finite() && high.is_finite()) else {
        return Ok(());
    };
    let [from, to] = [low, high].map(|end| x.place(end, frame.sides));
    let (text, up) = (Escaped(&band.text), y - 2.0);
    write!(f, r#"<path class="{class}" d="M{from:.1} {up:.1}v4M{from:.1} {y:.1}H{to:.1}M{to:.1} {up:.1}v4">"#)?;
    write!(f, "<title>{text}</title></path>")
}

/// Draws the shades into the frame, and a line where a stage begins in a step.
pub(super) fn shade(f: &mut impl Write, bands: &[Band], x: &Horizontal, frame: Frame) -> fmt::Result {
    fill(f, "stage ", bands, (x, frame))?;
    for band in bands.iter().filter(|band| band.range.0 > x.ends.0 && band.gradient.is_none()) {
        let (at, class) = (x.place(band.range.0, frame.sides), if band.is_sharp { "step" } else { "edge" });
        write!(f, r#"<path class="{class}" d="M{at:.1} {:.1}V{}"/>"#, frame.top, frame.bottom)?;
    }
    Ok(())
}

/// Fills the frame with the colours of the stages; from one to the next it goes in a step, or in a gradient where there is one.
fn fill(f: &mut impl Write, class: &str, bands: &[Band], (x, frame): (&Horizontal, Frame)) -> fmt::Result {
    let place = |at: f64| x.place(at, frame.sides);
    let (top, bottom) = (frame.top, frame.bottom);
    for (index, band) in bands.iter().enumerate() {
        let next = bands.get(index + 1).and_then(|next| next.gradient);
        let from = place(band.gradient.filter(|_| index > 0).map_or(band.range.0, |it| it.1));
        let to = place(next.map_or(band.range.1, |it| it.0)).max(from);
        write!(
            f,
            r#"<path class="{class}b{}" d="M{from:.1} {top:.1}H{to:.1}V{bottom:.1}H{from:.1}z"/>"#,
            band.colour % 4
        )?;
        let Some((low, high)) = band.gradient.filter(|_| index > 0) else { continue };
        let (low, width) = (place(low), place(high) - place(low));
        for slice in 0..SLICES {
            let along = |part: f64| low + width * part / SLICES as f64;
            let (from, to) = (along(slice as f64), along(slice as f64 + 1.0));
            let fill =
                colour::between_stages(bands[index - 1].colour, band.colour, (slice as f64 + 0.5) / SLICES as f64);
            write!(
                f,
                r#"<path class="{class}slice" fill="{fill}" d="M{from:.1} {top:.1}H{to:.1}V{bottom:.1}H{from:.1}z"/>"#
            )?;
        }
    }
    Ok(())
}
