module execgate.example/execgate

go 1.19
