//! The figures as a plot: a panel a link, bars by query, time on a logarithmic scale.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{ArmFigures, LinkFigures, QueryFigures, Record};
use crate::tpch::options::Arm;

/// Which figures of a query a bar shows.
type OfQuery = fn(&QueryFigures) -> Option<&ArmFigures>;

/// Name, colour and figures of the bars of a query, from left to right.
const BARS: [(&str, RGBColor, OfQuery); 4] = [
    ("DataFusion on the host", RGBColor(120, 120, 120), QueryFigures::host),
    ("DataFusion beside the data", RGBColor(90, 155, 212), QueryFigures::native),
    ("Nearside, auto", RGBColor(210, 90, 40), |query| query.arm(Arm::Auto)),
    ("Nearside, always", RGBColor(240, 180, 120), |query| query.arm(Arm::Always)),
];

const WIDTH: u32 = 1_200;
const PANEL_HEIGHT: u32 = 300;
/// Part of a query's place that its bars take.
const FILLED: f64 = 0.8;

/// Writes the plot as SVG.
pub(super) fn write(record: &Record, path: &Path) -> Result<()> {
    let panels = record.links.len().max(1);
    let root = SVGBackend::new(path, (WIDTH, PANEL_HEIGHT * panels as u32)).into_drawing_area();
    root.fill(&WHITE).map_err(plain)?;
    for (link, area) in record.links.iter().zip(root.split_evenly((panels, 1))) {
        panel(record, link, &area).map_err(plain)?;
    }
    root.present().map_err(plain)
}

/// plotters' errors borrow.
fn plain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("plot: {error}")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn panel<'a>(record: &Record, link: &LinkFigures, area: &Area<'a>) -> Outcome<'a> {
    let (least, most) = range(link);
    let title =
        format!("TPC-H at scale {}, {}: milliseconds, median of {} ({})", record.scale, link.link, record.runs, record.date);
    let queries = link.queries.len();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..queries as f64, (least..most).log_scale())?;
    let label = |place: &f64| link.queries.get(*place as usize).map_or_else(String::new, |query| format!("Q{}", query.query));
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(queries + 1)
        .x_label_formatter(&label)
        .x_label_offset(WIDTH as i32 / (2 * queries.max(1)) as i32)
        .draw()?;
    for (index, (name, color, figures)) in BARS.into_iter().enumerate() {
        let width = FILLED / BARS.len() as f64;
        let bars = link.queries.iter().enumerate().filter_map(|(place, query)| {
            let left = place as f64 + (1.0 - FILLED) / 2.0 + index as f64 * width;
            let height = figures(query)?.cost.seconds * 1e3;
            Some(Rectangle::new([(left, least), (left + width, height)], color.filled()))
        });
        let series = chart.draw_series(bars)?;
        series.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled()));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8)).draw()
}

/// Around all bars, with room for the legend.
fn range(link: &LinkFigures) -> (f64, f64) {
    let figures = link.queries.iter().flat_map(|query| BARS.iter().filter_map(|bar| bar.2(query)));
    let heights: Vec<f64> = figures.map(|arm| arm.cost.seconds * 1e3).collect();
    let least = heights.iter().copied().fold(f64::INFINITY, f64::min).clamp(1e-3, 1e6);
    let most = heights.iter().copied().fold(least, f64::max);
    (10f64.powf(least.log10().floor()), most * 8.0)
}
