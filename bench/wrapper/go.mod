module wrapper

go 1.19
