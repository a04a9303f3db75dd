//! The markers of a series' points: [`mark`].

use std::fmt::{self, Write};

/// A marker; its form shows which series it belongs to.
pub(super) fn mark(f: &mut impl Write, index: usize, (x, y): (f64, f64), size: f64) -> fmt::Result {
    let r = 3.0 * size;
    let (w, h) = (2.0 * r, 2.4 * r);
    write!(f, r#"<path class="mark" d="M{x:.1} {y:.1}"#)?;
    match index % 3 {
        0 => write!(f, "m-{r} 0a{r} {r} 0 1 0 {w} 0a{r} {r} 0 1 0 -{w} 0")?,
        1 => write!(f, "m-{r} -{r}h{w}v{w}h-{w}z")?,
        _ => write!(f, "m0 -{w}l{r} {h:.1}h-{w}z")?,
    }
    f.write_str(r#""/>"#)
}
