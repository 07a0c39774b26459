#!/bin/sh
# Writes the C source of the table in templates.h: embed.sh FILE... The assembler copies the bytes in.
set -eu

cat <<'END'
#include "gateway/command/build/templates.h"
#define EMBEDDED(number, path)                                                                                         \
    extern const char template_##number[], template_##number##_end[];                                                  \
    __asm__(".pushsection .rodata\n"                                                                                   \
            "template_" #number ":\n.incbin \"" path "\"\ntemplate_" #number "_end:\n"                                  \
            ".popsection\n");
END
number=0
for file in "$@"; do
    printf 'EMBEDDED(%d, "%s")\n' $number "$file"
    number=$((number + 1))
done
echo 'const struct template template_table[] = {'
number=0
for file in "$@"; do
    printf '    {"%s", template_%d, template_%d_end},\n' "$file" $number $number
    number=$((number + 1))
done
printf '};\nconst size_t template_count = %d;\n' $#
