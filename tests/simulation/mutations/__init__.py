"""The planted defects, by the layer that they are planted in. Each function plants one."""
