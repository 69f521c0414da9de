# TPC-H Q6 over five line items: one for each edge of the filter.
scan (l_quantity: decimal(15,2), l_extendedprice: decimal(15,2), l_discount: decimal(15,2), l_shipdate: date)
| filter l_shipdate >= date '1994-01-01'
| filter l_shipdate < date '1995-01-01'
| filter l_discount >= 0.05d(15,2)
| filter l_discount <= 0.07d(15,2)
| filter l_quantity < 24.00d(15,2)
| aggregate revenue: sum(l_extendedprice * l_discount)
--- rows in
l_quantity = 23.99, 24.00, 1.00, 1.00, 1.00
l_extendedprice = 100.00, 1000.00, 200.01, 1000.00, 1000.00
l_discount = 0.05, 0.06, 0.07, 0.08, 0.06
l_shipdate = '1994-01-01', '1994-06-01', '1994-12-31', '1994-06-01', '1995-01-01'
--- rows out
revenue = 19.0007
