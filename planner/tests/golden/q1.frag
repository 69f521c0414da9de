# The heart of TPC-H Q1: two keys, decimal arithmetic of three scales, an average as its count and its sum.
scan (l_quantity: decimal(15,2), l_extendedprice: decimal(15,2), l_discount: decimal(15,2), l_tax: decimal(15,2), l_returnflag: utf8, l_linestatus: utf8, l_shipdate: date)
| filter l_shipdate <= date '1998-09-02'
| group by l_returnflag, l_linestatus
| aggregate sum_qty: sum(l_quantity), sum_disc_price: sum(l_extendedprice * (1d(20,0) - l_discount)), sum_charge: sum(l_extendedprice * (1d(20,0) - l_discount) * (1d(20,0) + l_tax)), avg_count: count(l_quantity) as u64, avg_sum: sum(l_quantity) as decimal(38,2), count_order: count(*)
--- rows in
l_quantity = 17.00, 36.00, 8.00, 28.00
l_extendedprice = 21168.23, 45983.16, 13309.60, 28955.64
l_discount = 0.04, 0.09, 0.10, 0.09
l_tax = 0.02, 0.06, 0.02, 0.06
l_returnflag = 'N', 'N', 'R', 'N'
l_linestatus = 'O', 'O', 'F', 'O'
l_shipdate = '1996-03-13', '1996-04-12', '1996-01-29', '1998-09-03'
--- rows out
l_returnflag = 'N', 'R'
l_linestatus = 'O', 'F'
sum_qty = 53.00, 8.00
sum_disc_price = 62166.1764, 11978.6400
sum_charge = 65083.286952, 12218.212800
avg_count = 2, 1
avg_sum = 53.00, 8.00
count_order = 2, 1
