/*
 * The checks on an emulated microcontroller: QEMU lays the vectors into memory, the report leaves by
 * semihosting (ARM's own: a breakpoint that the emulator answers). Also measures the stack.
 */
#include "check.h"

extern uint32_t stack_top, stack_bottom, bss_start, bss_end, data_start, data_end, data_load;
extern uint8_t vectors_start[], memory_start[], memory_end[];

enum { PAINT = 0x5AFEC0DE, WRITE0 = 4, EXIT = 0x18, APPLICATION_EXIT = 0x20026 };

static uint32_t ask_host(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void say(uint32_t number, char after)
{
    char digits[12];
    uint32_t at = sizeof digits - 1;
    digits[at] = 0;
    digits[--at] = after;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    ask_host(WRITE0, digits + at);
}

/* The bytes of stack that were in use at most. */
static uint32_t stack_used(void)
{
    const uint32_t *word = &stack_bottom;
    while (*word == PAINT)
        word++;
    return (uint32_t)((const uint8_t *)&stack_top - (const uint8_t *)word);
}

static void prepare(void)
{
    uint32_t *volatile here = &stack_bottom;
    for (uint32_t *word = here; (uint8_t *)word < (uint8_t *)&here - 64; word++)
        *word = PAINT;
    for (uint32_t *word = &bss_start; word < &bss_end; word++)
        *word = 0;
    const uint32_t *from = &data_load;
    for (uint32_t *word = &data_start; word < &data_end; word++)
        *word = *from++;
}

__attribute__((noreturn, used)) void reset(void)
{
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xFU << 20; /* the floating-point unit */
    __asm__ volatile("dsb\nisb");
#endif
    prepare();
    const struct report report =
        check(vectors_start, memory_start, (size_t)(memory_end - memory_start));
    say(report.cases, ' ');
    say(report.wrong, ' ');
    say(report.skipped, ' ');
    say(report.first_wrong, ' ');
    say(report.digest, ' ');
    say(stack_used(), '\n');
    ask_host(EXIT, (const void *)APPLICATION_EXIT);
    for (;;) {
    }
}

__attribute__((noreturn)) static void fault(void)
{
    ask_host(WRITE0, "fault\n");
    ask_host(EXIT, (const void *)APPLICATION_EXIT);
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void *const handlers[16] = {
    &stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
};
