//! The extension as its users see it: queries through DataFusion, one binary so that DataFusion is linked once.

mod auto;
mod common;
mod fallback;
mod plans;
mod tpch;
