#![no_main]

nearside_fuzz::target!("columnar");
