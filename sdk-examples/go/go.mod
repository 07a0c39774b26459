module execgate.example/counters

go 1.21
