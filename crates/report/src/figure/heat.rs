//! Draws a [`Heat`] map: cells that show their numbers under the mouse, names beside rows and columns, and a bar of the colours.

use std::fmt::{self, Write};

use stratigraph_profile::Axis;

use super::draw::{HEADING, TITLE, WIDTH};
use super::horizontal::{LONGEST, round_step};
use super::{Band, Heat, axis, colour};
use crate::text::{Escaped, Number, Tick, shortened};

/// The margins of the cells.
const LEFT: f64 = 74.0;
/// Where the title begins.
const TITLE_LEFT: f64 = 58.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = TITLE + 25.0;
const BOTTOM: f64 = 44.0;
/// The width of the strips that show stages, and the gap between them and the cells.
const STRIP: f64 = 6.0;
const GAP: f64 = 2.0;
const CELLS: f64 = WIDTH - LEFT - RIGHT;
/// The height of a row, where a matrix is not square.
const ROW: f64 = 14.0;
/// The least height for a name beside the cells.
const LINE: f64 = 15.0;
/// The width of a character, roughly.
const CHARACTER: f64 = 7.3;
/// A longer name of a row is shortened.
const BESIDE: usize = 6;
/// A longer name of an axis is shortened.
const NAME: usize = 24;
/// The most lines of names below the cells, and the height of one.
const MOST_LINES: usize = 4;
const NAME_LINE: f64 = 13.0;
/// How many colours the bar shows.
const SHADES: usize = 24;

/// A map laid out.
pub(super) struct Drawing<'a> {
    heat: &'a Heat,
    bands: &'a [Band],
    n_columns: usize,
    low: f64,
    high: f64,
    /// The width and the height of a cell.
    cell: (f64, f64),
}

impl<'a> Drawing<'a> {
    pub(super) fn of(heat: &'a Heat, bands: &'a [Band]) -> Self {
        let values = &heat.matrix.values;
        let n_columns = values.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let n_rows = values.len().max(1);
        let (low, high) = axis::range(values.iter().flatten().copied()).unwrap_or((0.0, 1.0));
        let most = low.abs().max(high.abs());
        let (low, high) = if heat.signed { (-most, most) } else { (low, high) };
        let height = if n_rows == n_columns { CELLS } else { (n_rows as f64 * ROW).clamp(120.0, 2.0 * CELLS) };
        Self { heat, bands, n_columns, low, high, cell: (CELLS / n_columns as f64, height / n_rows as f64) }
    }

    pub(super) fn height(&self) -> f64 {
        TOP + self.cells_height() + BOTTOM + self.below_first_line()
    }

    /// The step between columns that have their names in a line, so that names do not overlap.
    fn names_apart(&self) -> usize {
        let columns = &self.heat.matrix.columns;
        let lengths = (0..columns.len()).map(|at| shortened(&columns.tick(at), LONGEST).chars().count() + 1);
        round_step((lengths.max().unwrap_or(1) as f64 * CHARACTER / self.cell.0).ceil() as usize)
    }

    /// How many lines the names of columns take. All words are written, one below the other where they would overlap; some
    /// numbers are left out.
    fn name_lines(&self) -> usize {
        match self.heat.matrix.columns {
            Axis::Labelled { .. } => Some(self.names_apart()).filter(|lines| *lines <= MOST_LINES).unwrap_or(1),
            _ => 1,
        }
    }

    /// The height of the names below the first line of them.
    fn below_first_line(&self) -> f64 {
        NAME_LINE * (self.name_lines() - 1) as f64
    }

    fn is_square(&self) -> bool {
        self.heat.matrix.values.len() == self.n_columns
    }

    fn cells_height(&self) -> f64 {
        self.cell.1 * self.heat.matrix.values.len().max(1) as f64
    }

    /// The map in words.
    pub(super) fn in_words(&self) -> String {
        let matrix = &self.heat.matrix;
        let range = match axis::range(matrix.values.iter().flatten().copied()) {
            Some((low, high)) => format!("{} to {}", Number(low), Number(high)),
            None => "no numbers".to_owned(),
        };
        let Heat { title, .. } = self.heat;
        format!("{title}: {} by {} and {}, {range}", matrix.unit, matrix.rows.name(), matrix.columns.name())
    }

    pub(super) fn draw(&self, f: &mut impl Write) -> fmt::Result {
        let [title, unit] =
            [self.heat.title.clone(), self.heat.matrix.unit.to_string()].map(|text| shortened(&text, HEADING));
        let (title, unit) = (Escaped(&title), Escaped(&unit));
        write!(f, r#"<text class="title" x="{TITLE_LEFT}" y="16">{title}</text>"#)?;
        write!(f, r#"<text class="small" x="{TITLE_LEFT}" y="34">{unit}</text>"#)?;
        write!(f, r#"<g transform="translate({LEFT} {})" shape-rendering="crispEdges">"#, TOP)?;
        self.heat.matrix.values.iter().enumerate().try_for_each(|(row, values)| self.draw_row(f, row, values))?;
        self.bands.iter().try_for_each(|band| self.draw_stage(f, band))?;
        self.draw_bar(f)?;
        f.write_str("</g>")?;
        self.draw_names(f)
    }

    fn draw_row(&self, f: &mut impl Write, row: usize, values: &[f64]) -> fmt::Result {
        let ((width, height), matrix) = (self.cell, &self.heat.matrix);
        let row_label = matrix.rows.label(row);
        let row_label = Escaped(&row_label);
        write!(f, r#"<g transform="translate(0 {:.2})">"#, height * row as f64)?;
        for (column, &value) in values.iter().enumerate() {
            let x = width * column as f64;
            write!(f, r#"<path d="M{x:.2} 0h{width:.2}v{height:.2}h-{width:.2}z" "#)?;
            match value.is_finite() {
                true => write!(f, r#"fill="{}">"#, self.colour(value))?,
                false => f.write_str(r#"class="none">"#)?,
            }
            let column_label = matrix.columns.label(column);
            let (column_label, number) = (Escaped(&column_label), Number(value));
            write!(f, "<title>{row_label}, {column_label}: {number}</title></path>")?;
        }
        f.write_str("</g>")
    }

    /// A stage above its columns and beside its rows. The residual position before a layer goes with the layer, and the one
    /// after the last layer with that.
    fn draw_stage(&self, f: &mut impl Write, band: &Band) -> fmt::Result {
        let last = self.bands.iter().map(|band| band.range.1).fold(0.0, f64::max);
        let (from, to) = (band.range.0 + 0.5, band.range.1 + 0.5);
        let [across, down] = [&self.heat.matrix.columns, &self.heat.matrix.rows].map(|axis| axis.n_layers().is_some());
        let ((width, height), offset) = (self.cell, -STRIP - GAP);
        let end = |n: usize| if band.range.1 >= last { n as f64 } else { to };
        let (right, bottom) = (end(self.n_columns) * width - 1.0, end(self.heat.matrix.values.len()) * height - 1.0);
        write!(f, r#"<g class="b{}"><title>{}</title>"#, band.colour % 4, Escaped(&band.text))?;
        if across {
            write!(f, r#"<path d="M{:.2} {offset}H{right:.2}v{STRIP}H{:.2}z"/>"#, from * width, from * width)?;
        }
        if down {
            write!(f, r#"<path d="M{offset} {:.2}V{bottom:.2}h{STRIP}V{:.2}z"/>"#, from * height, from * height)?;
        }
        f.write_str("</g>")
    }

    fn is_constant(&self) -> bool {
        self.low >= self.high
    }

    fn colour(&self, value: f64) -> String {
        let share = if self.is_constant() { 0.5 } else { (value - self.low) / (self.high - self.low) };
        colour::of_share(share, self.heat.signed)
    }

    /// The colours with their numbers, right of the cells.
    fn draw_bar(&self, f: &mut impl Write) -> fmt::Result {
        let (x, height) = (CELLS + 10.0, self.cells_height());
        let (n_shades, shares): (_, &[f64]) = if self.is_constant() { (1, &[0.5]) } else { (SHADES, &[0.0, 0.5, 1.0]) };
        let step = height / n_shades as f64;
        for shade in 0..n_shades {
            let share = (shade as f64 + 0.5) / n_shades as f64;
            let (y, fill) = (height - step * (shade + 1) as f64, colour::of_share(share, self.heat.signed));
            write!(f, r#"<path d="M{x} {y:.2}h12v{step:.2}h-12z" fill="{fill}"/>"#)?;
        }
        for &share in shares {
            let value = self.low + share * (self.high - self.low);
            let y = height * (1.0 - share) + 4.0 + 4.0 * (2.0 * share - 1.0);
            let number = beside_bar(value, self.high - self.low);
            write!(f, r#"<text class="small" x="{}" y="{y:.1}">{number}</text>"#, x + 15.0)?;
        }
        Ok(())
    }

    fn draw_names(&self, f: &mut impl Write) -> fmt::Result {
        let ((width, height), matrix) = (self.cell, &self.heat.matrix);
        let (top, bottom) = (TOP, TOP + self.cells_height());
        let names =
            |axis: &Axis, longest| (0..axis.len()).map(|at| shortened(&axis.tick(at), longest)).collect::<Vec<_>>();
        let (across, down) = (names(&matrix.columns, LONGEST), names(&matrix.rows, BESIDE));
        let (step, lines) = (self.names_apart(), self.name_lines());
        let shown = if lines > 1 { 1 } else { step };
        for (column, name) in across.iter().enumerate().take(self.n_columns).step_by(shown) {
            let (x, y) = (LEFT + width * (column as f64 + 0.5), bottom + 16.0 + NAME_LINE * (column % lines) as f64);
            let name = Escaped(name);
            write!(f, r#"<text class="small" x="{x:.1}" y="{y:.1}" text-anchor="middle">{name}</text>"#)?;
        }
        let step = round_step((LINE / height).ceil() as usize).max(if self.is_square() { step } else { 1 });
        for (row, name) in down.iter().enumerate().take(matrix.values.len()).step_by(step) {
            let (x, y, name) = (LEFT - STRIP - 2.0 * GAP, top + height * (row as f64 + 0.5) + 4.0, Escaped(name));
            write!(f, r#"<text class="small" x="{x}" y="{y:.1}" text-anchor="end">{name}</text>"#)?;
        }
        let [across, down] = [&matrix.columns, &matrix.rows].map(|axis| shortened(&axis.name(), NAME));
        let (x, y, across) = (LEFT + CELLS / 2.0, bottom + 36.0 + self.below_first_line(), Escaped(&across));
        write!(f, r#"<text x="{x}" y="{y:.1}" text-anchor="middle">{across}</text>"#)?;
        let (y, down) = ((top + bottom) / 2.0, Escaped(&down));
        write!(f, r#"<text transform="translate(14 {y:.1}) rotate(-90)" text-anchor="middle">{down}</text>"#)
    }
}

/// A number beside a bar that spans `span`, with as many digits as the difference to the next number, half the span, needs for two;
/// four digits where it is the only number.
fn beside_bar(value: f64, span: f64) -> String {
    if span <= 0.0 {
        return Number(value).to_string();
    }
    let (decimals, size) = (1.0 - (span / 2.0).log10().floor(), value.abs());
    if size != 0.0 && !(1e-3..1e4).contains(&size) {
        let digits = (decimals + size.log10().floor()).clamp(0.0, 5.0) as usize;
        return format!("{value:.digits$e}");
    }
    let digits = decimals.clamp(0.0, 6.0) as usize;
    Tick(format!("{value:.digits$}").parse().unwrap_or(value)).to_string()
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Matrix, Unit};

    use super::*;
    use crate::figure::{Figure, Panel};

    #[test]
    fn a_constant_map_has_one_colour_and_one_number() {
        let map = |values: Vec<f64>| {
            let matrix = Matrix::new(Axis::layers(1), Axis::layers(2), Unit::Count, vec![values]);
            Figure::new("f", "F").with_panel(Panel::Heat(Heat::new("neurons", matrix))).to_string()
        };
        let colours = |svg: &str| svg.matches("v120.00h-12z").count();
        let (constant, varied) = (map(vec![7.0, 7.0]), map(vec![6.0, 8.0]));
        assert_eq!((colours(&constant), constant.matches(">7</text>").count()), (1, 1), "{constant}");
        assert!(!constant.contains(">6.5<") && varied.contains(">8</text>") && colours(&varied) == 0, "{varied}");
    }

    #[test]
    fn numbers_beside_the_bar_differ_whatever_its_span() {
        let shown = |[low, high]: [f64; 2]| [low, (low + high) / 2.0, high].map(|value| beside_bar(value, high - low));
        assert_eq!(shown([3.241, 3.252]), ["3.241", "3.2465", "3.252"]);
        assert_eq!(shown([0.0, 8.056]), ["0", "4", "8.1"]);
        assert_eq!(shown([-0.3, 200.0]), ["0", "100", "200"]);
        assert_eq!(shown([1.23e-5, 1.27e-5]), ["1.230e-5", "1.250e-5", "1.270e-5"]);
        assert_eq!(shown([12_300.0, 12_700.0]), ["1.230e4", "1.250e4", "1.270e4"]);
        assert_eq!(shown([-2e-9, 2e-9]), ["-2.0e-9", "0", "2.0e-9"]);
        assert_eq!(beside_bar(7.0, 0.0), "7");
    }
}
