//! The figures as a plot: a panel for each place columns come from, bars by step, ns a row on a logarithmic scale.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::super::options::Memory;
use super::{Record, StepFigures};

/// Title and colour of the bars of a step, from left to right.
const BARS: [(&str, RGBColor); 10] = [
    ("rust, native", RGBColor(60, 60, 60)),
    ("rust scalar", RGBColor(150, 150, 150)),
    ("arrow, native", RGBColor(90, 155, 212)),
    ("planned with helpers", RGBColor(170, 40, 20)),
    ("ours", RGBColor(220, 100, 50)),
    ("ours unchecked", RGBColor(245, 190, 150)),
    ("rbpf", RGBColor(110, 170, 90)),
    ("rbpf cranelift", RGBColor(170, 210, 150)),
    ("solana", RGBColor(140, 100, 170)),
    ("wasmtime", RGBColor(200, 180, 220)),
];

const WIDTH: u32 = 1_200;
const PANEL_HEIGHT: u32 = 360;
/// Part of a step's place that its bars take.
const FILLED: f64 = 0.85;

/// Writes the plot as SVG.
pub(super) fn write(record: &Record, path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (WIDTH, 2 * PANEL_HEIGHT)).into_drawing_area();
    root.fill(&WHITE).map_err(plain)?;
    for (memory, area) in [Memory::L2, Memory::Dram].into_iter().zip(root.split_evenly((2, 1))) {
        let steps: Vec<&StepFigures> = record.over(memory).collect();
        if !steps.is_empty() {
            panel(record, memory, &steps, &area).map_err(plain)?;
        }
    }
    root.present().map_err(plain)
}

/// plotters' errors borrow.
fn plain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("plot: {error}")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn panel<'a>(record: &Record, memory: Memory, steps: &[&StepFigures], area: &Area<'a>) -> Outcome<'a> {
    let (least, most) = range(steps);
    let title = format!("columns in {memory}: ns a row, the median of processes ({})", record.date);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..steps.len() as f64, (least..most).log_scale())?;
    let label = |place: &f64| steps.get(*place as usize).map_or_else(String::new, |step| step.step.clone());
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(steps.len() + 1)
        .x_label_formatter(&label)
        .x_label_offset(WIDTH as i32 / (2 * steps.len()) as i32)
        .draw()?;
    for (index, (title, color)) in BARS.into_iter().enumerate() {
        let width = FILLED / BARS.len() as f64;
        let bars = steps.iter().enumerate().filter_map(|(place, step)| {
            let left = place as f64 + (1.0 - FILLED) / 2.0 + index as f64 * width;
            Some(Rectangle::new([(left, least), (left + width, step.ns(title)?)], color.filled()))
        });
        let series = chart.draw_series(bars)?;
        series.label(title).legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled()));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8)).draw()
}

/// Around all bars, with room for the legend.
fn range(steps: &[&StepFigures]) -> (f64, f64) {
    let heights: Vec<f64> = steps.iter().flat_map(|step| BARS.iter().filter_map(|(title, _)| step.ns(title))).collect();
    let least = heights.iter().copied().fold(f64::INFINITY, f64::min).clamp(1e-3, 1e6);
    let most = heights.iter().copied().fold(least, f64::max);
    (10f64.powf(least.log10().floor()), most * 30.0)
}
