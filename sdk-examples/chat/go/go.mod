module execgate.example/chat

go 1.19

require execgate.example/execgate v0.0.0

replace execgate.example/execgate => ../../go-sdk
