//! TPC-H: the 22 queries with their validation parameters, and its eight tables as Parquet.
//!
//! [`query`] gives the text, [`generate`] writes the files, [`TABLES`] names what the queries expect to be registered, [`difference`] judges answers. Used
//! by the CLI, the tests and the benches.

mod compare;
mod generate;
mod list;

pub use compare::difference;
pub use generate::{GenerateError, Options, Progress, generate};
pub use list::{ListError, parse_queries};

/// The tables, small ones first.
pub const TABLES: [&str; 8] = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// Numbers of all queries.
pub const QUERIES: std::ops::RangeInclusive<u8> = 1..=22;

macro_rules! queries {
    ($($number:literal)*) => {
        /// The text of a query, one statement.
        ///
        /// # Panics
        /// If there is no query of that number ([`QUERIES`]).
        pub fn query(number: u8) -> &'static str {
            match number {
                $($number => include_str!(concat!("queries/q", $number, ".sql")),)*
                _ => panic!("TPC-H has queries 1 to 22, not {number}"),
            }
        }
    };
}

queries!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);
