/* SPDX-License-Identifier: MIT
 * With -DHEED_FUZZ_MAIN a fuzzer is a program that runs the inputs in the files it is given, such as those that
 * libFuzzer kept. Included once, behind LLVMFuzzerTestOneInput(). */
#ifdef HEED_FUZZ_MAIN
#include <stdio.h>

int main(int argc, char **argv)
{
    static uint8_t data[64 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    return 0;
}
#endif
